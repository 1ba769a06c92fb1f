"""The short table of a page: means with intervals."""

import math

import pytest
from scipy import stats

from experiments.harness.means import means, number, percent, share_with_interval, with_ends, with_interval, with_range


def test_the_interval_is_that_of_student():
    values = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, loc=sum(values) / 3, scale=stats.sem(values))
    assert with_interval(values, lambda value: f"{value:.6f}") == f"{7 / 3:.6f} [{low:.6f}, {high:.6f}]"


@pytest.mark.parametrize(("values", "text"), [([2.0], "2"), ([2.0, None], "2"), ([None], "-"), ([], "-")])
def test_one_value_has_no_interval(values, text):
    assert with_interval(values) == text


def test_an_interval_of_shares_stays_between_0_and_1():
    assert share_with_interval([0.9, 1.0]) == "95.0 % [31.5 %, 100.0 %]"
    assert with_ends(0.5, 0.25, 0.75, percent) == "50.0 % [25.0 %, 75.0 %]"


def test_a_range_knows_what_is_beyond():
    assert with_range([3, None, 1], number, "over 9") == "3 [1, over 9]"
    assert with_range([None]) == "beyond" and with_range([7]) == "7" and with_range([]) == "-"


def test_groups_keep_their_order_and_count():
    records = [{"model": "b", "x": 1.0}, {"model": "a", "x": 5.0}, {"model": "b", "x": 3.0}]
    rows = means(records, ("model",), {"x": lambda values: math.fsum(values)})
    assert rows == [{"model": "b", "n": 2, "x": 4.0}, {"model": "a", "n": 1, "x": 5.0}]
