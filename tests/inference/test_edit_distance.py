"""Edit distance against the recursion without a table, over all pairs of short strings."""

import itertools
import math

from lm_jax.inference.edit_distance import Edits, count_edits, error_rate


def distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b[1:]) + (a[0] != b[0]), distance(a[1:], b) + 1, distance(a, b[1:]) + 1)


def test_it_is_the_least_number_of_edits():
    strings = [s for n in range(5) for s in itertools.product("ab", repeat=n)]
    for reference, found in itertools.product(strings, strings):
        edits = count_edits(reference, found)
        assert edits.distance == distance(reference, found) and min(edits) >= 0
        assert edits.insertions - edits.deletions == len(found) - len(reference)


def test_edits_are_told_apart():
    assert count_edits("1234", "1234") == (0, 0, 0)
    assert count_edits("1234", "134") == Edits(0, 1, 0)
    assert count_edits("1234", "12934") == Edits(0, 0, 1)
    assert count_edits("1234", "19") == Edits(1, 2, 0)
    assert count_edits("ab", "ba") == Edits(2, 0, 0)


def test_the_error_rate_is_over_all_tokens():
    assert error_rate([[1, 2, 3], [4]], [[1, 3], [4, 4]]) == 0.5
    assert error_rate([[1]], [[2, 2, 2]]) == 3.0 and math.isnan(error_rate([[]], [[]]))
