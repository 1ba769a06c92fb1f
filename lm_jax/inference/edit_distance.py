"""Edit distance: the number of substitutions, deletions and insertions that turn a reference into a hypothesis.

D[i, j] = min(D[i-1, j-1] + (r_i differs from f_j),  D[i-1, j] + 1,  D[i, j-1] + 1)        Levenshtein 1966
              substitution                           deletion        insertion

error rate = (substitutions + deletions + insertions) / tokens of all references           over 1 where much is put in
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Edits(NamedTuple):
    """Counts of a shortest edit sequence from a reference to a hypothesis; of several shortest ones, one with the most
    substitutions."""

    substitutions: int
    deletions: int
    insertions: int

    @property
    def distance(self) -> int:
        """The edit distance."""
        return sum(self)


Tokens = Sequence | np.ndarray  # anything that can be compared: words, characters, ids


def count_edits(reference: Tokens, found: Tokens) -> Edits:
    """Counts the edits from a reference to a hypothesis, by dynamic programming, row by row."""
    row = [Edits(0, 0, j) for j in range(len(found) + 1)]
    for i, wanted in enumerate(reference, 1):
        above, row = row, [Edits(0, i, 0)]
        for j, token in enumerate(found, 1):
            (s, d, n), (s_up, d_up, n_up), (s_left, d_left, n_left) = above[j - 1], above[j], row[j - 1]
            ways = [
                Edits(s + (wanted != token), d, n),
                Edits(s_up, d_up + 1, n_up),
                Edits(s_left, d_left, n_left + 1),
            ]
            row.append(min(ways, key=lambda edits: (edits.distance, -edits.substitutions)))
    return row[-1]


def error_rate(references: Sequence[Tokens], found: Sequence[Tokens]) -> float:
    """Returns the edits of all pairs over the tokens of all references; NaN without any token."""
    edits = sum(count_edits(*pair).distance for pair in zip(references, found, strict=True))
    tokens = sum(map(len, references))
    return edits / tokens if tokens else float("nan")
