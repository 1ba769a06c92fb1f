"""Confidence intervals and significance of perplexities: block bootstrap and paired permutation test; numpy only.

Errors within a line are correlated, and lines near each other too (a topic, an author), so tokens are never resampled:
the text is cut into K blocks of consecutive lines, s_b the nats lost in block b and n_b its tokens, and

    J = sum_b s_b / sum_b n_b                              the ratio estimator: nats per token; perplexity exp(J)

Interval: quantiles of J over resamples, K blocks drawn with replacement each (percentile bootstrap, Efron & Tibshirani
1993, chapter 13; of blocks, Carlstein 1986, Kunsch 1989), at the levels Phi(-z) and Phi(z), z = sqrt(K / (K - 1)) times
the 97.5 % quantile of Student's t with K - 1 degrees of freedom: 2.5 and 97.5 % for many blocks, further out for few,
which the plain percentiles are too narrow for (Hesterberg 2015, expanded percentiles). A quantile of exp(J) is exp of
the quantile of J, so the same draws serve perplexities, nats and bits.

Paired test of two models on the same blocks: were they equally good, the names of the two could be swapped in any
block, so the signs of d_b = s_b - s'_b are flipped at random (Fisher 1935; Noreen 1989; for language data Koehn 2004,
Dror et al. 2018), and

    p = (1 + #{flips: |sum_b +-d_b| >= |sum_b d_b|}) / (1 + flips)                        (Phipson & Smyth 2010)

The interval of the difference resamples the pairs (d_b, n_b). A measure of a corpus that is no ratio, such as BLEU, has
the interval of its difference by resampling the sentences of both systems alike (Koehn 2004). No correction is made for
many comparisons.

Length of a block: lines^(1/3) lines, rounded up (the rate at which the variance of a block bootstrap converges fastest,
Hall, Horowitz & Jing 1995), but at most such that 50 blocks remain. A text of fewer lines is cut at each of them; if
equal pieces of the token stream, of at least 20 tokens each and 50 at most, are more numerous, at those instead.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from lm_jax.short_repr import shortly_shown


ENOUGH_BLOCKS, SHORTEST_PIECE = 50, 20
NORMAL_QUANTILE = 1.959964  # 97.5 %
DRAWN_AT_ONCE = 2**22  # numbers, that is 32 MiB


@shortly_shown
class Blocks(NamedTuple):
    """starts int [K]: the first token of each block; size: what a block holds of the unit, "line" or "token" (mean)."""

    starts: np.ndarray
    size: float
    unit: str

    def sums(self, values: Float[np.ndarray, "N"]) -> Float[np.ndarray, "K"]:
        """Sums of per-token values over the blocks, in float64."""
        return np.add.reduceat(np.asarray(values, np.float64), self.starts)


class Interval(NamedTuple):
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """A difference with its 95 % interval, and the two-sided p-value of no difference."""

    difference: float
    low: float
    high: float
    p_value: float


def cut_blocks(lengths: Int[np.ndarray, "lines"]) -> Blocks:
    """Returns the blocks of a text from the number of tokens of each line (at least one, its end)."""
    lines, tokens = len(lengths), int(np.sum(lengths))
    pieces = min(ENOUGH_BLOCKS, tokens // SHORTEST_PIECE)
    if lines < min(ENOUGH_BLOCKS, pieces):
        return Blocks(np.arange(pieces) * tokens // pieces, tokens / pieces, "token")
    size = lines_per_block(lines)
    return Blocks((np.cumsum(lengths) - lengths)[::size], size, "line")


def lines_per_block(lines: int) -> int:
    """Returns the cube root, rounded up; less where fewer than 50 blocks would remain; at least 1."""
    root = int(np.ceil(round(lines ** (1 / 3), 9)))  # 1000 ** (1 / 3) is a little below 10, 64 ** (1 / 3) below 4
    return max(1, min(root, lines // ENOUGH_BLOCKS))


def tail_level(blocks: int) -> float:
    """Phi(-z) of the interval of so many blocks, at least 2: 0.025 and below.

    Student's t by its expansion about the normal quantile (Abramowitz & Stegun 26.7.5): to 0.01 from 5 blocks on.
    """
    z, degrees = NORMAL_QUANTILE, blocks - 1
    t = z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    return math.erfc(t * math.sqrt(blocks / degrees / 2)) / 2


def bootstrap_ratio(
    sums: Float[np.ndarray, "K"], units: Float[np.ndarray, "K"], samples: int = 2000, seed: int = 0
) -> Interval:
    """Computes sum(sums) / sum(units) with its percentile interval over resampled blocks.

    Where a block's sum is infinite (a probability of 0) both ends are infinite too: no text of which this is a part
    has a finite one. One block alone says nothing about others: its interval is the whole line.

    Args:
        sums: of each block, such as its nats.
        units: of each block, such as its tokens.
        samples: number of resamples.
        seed: seed of the resamples.

    Returns:
        The ratio and its 95 % interval.
    """
    estimate = float(np.sum(sums) / np.sum(units))
    if not np.isfinite(estimate):
        return Interval(estimate, estimate, estimate)
    if len(sums) < 2:
        return Interval(estimate, -np.inf, np.inf)
    both = np.stack([sums, units], axis=1)
    totals = np.concatenate([counts @ both for counts in _resamples(len(sums), samples, seed)])
    tail = tail_level(len(sums))
    low, high = np.quantile(totals[:, 0] / totals[:, 1], (tail, 1 - tail))
    return Interval(estimate, float(low), float(high))


def paired_test(
    sums: Float[np.ndarray, "K"],
    others: Float[np.ndarray, "K"],
    units: Float[np.ndarray, "K"],
    samples: int = 2000,
    seed: int = 0,
) -> PairedTest:
    """Tests whether two models differ, by sign flips of their differences on the same blocks.

    Args:
        sums: of each block under the first model, finite.
        others: of each block under the second model, finite.
        units: of each block, such as its tokens.
        samples: number of sign flips.
        seed: seed of the sign flips.

    Returns:
        sum(sums - others) / sum(units), below 0 if the first loses less, and its p-value.
    """
    differences = np.asarray(sums, np.float64) - others
    interval = bootstrap_ratio(differences, units, samples, seed)
    observed = abs(differences.sum())
    flipped = np.concatenate([signs @ differences for signs in _signs(len(differences), samples, seed)])
    as_large = np.abs(flipped) >= observed * (1 - 1e-9)  # sums of the same numbers in another order differ in rounding
    return PairedTest(*interval, float((1 + as_large.sum()) / (1 + samples)))


def bootstrap_difference(
    statistics: Float[np.ndarray, "N S"],
    others: Float[np.ndarray, "N S"],
    measure: Callable[[np.ndarray], float],
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """measure(sum of statistics) less that of others, with its interval over resampled sentences (Koehn 2004).

    Args:
        statistics: of the sentences of one system.
        others: of the same sentences of another, resampled alike.
        measure: of a corpus, from sums [S].
        samples: resamples.
        seed: of their draw.
    """
    both = np.concatenate([statistics, others], axis=1)

    def difference(sums):
        one, other = np.split(sums, 2)
        return measure(one) - measure(other)

    totals = np.concatenate([counts @ both for counts in _resamples(len(both), samples, seed)])
    tail = tail_level(len(both))
    low, high = np.quantile([difference(sums) for sums in totals], (tail, 1 - tail))
    return Interval(difference(both.sum(axis=0)), float(low), float(high))


def _resamples(blocks, samples, seed) -> Iterator[np.ndarray]:
    """Draws how often each block is in each resample: multinomial counts, float [some samples, K] at a time."""
    generator = np.random.default_rng(seed)
    for rows in _portions(blocks, samples):
        drawn = generator.integers(0, blocks, (rows, blocks)) + blocks * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * blocks).reshape(rows, blocks).astype(np.float64)


def _signs(blocks, samples, seed) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    for rows in _portions(blocks, samples):
        yield generator.integers(0, 2, (rows, blocks)) * 2.0 - 1.0


def _portions(blocks, samples):
    """Numbers of rows that add up to `samples`, so that one portion of them is not too large."""
    most = max(1, DRAWN_AT_ONCE // blocks)
    return [min(most, samples - start) for start in range(0, samples, most)]
