"""Looking n-grams up in back-off tables, many at once, on any device: binary search in the trie's ranges.

The state of a text is the rows of its last 1, 2, .. n - 1 words: ABSENT where that n-gram is not in the tables, BEFORE
where the line is not that long. One search per order finds the rows of all n-grams that a next word ends: they give
its probability, and are the next state. An end-of-line token is back in the start context: of its n-grams only the
unigram <s> goes on.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.models.ngram.counts import ABSENT, BEFORE
from lm_jax.models.ngram.tables import BackoffParams


def find_child(params: BackoffParams, k: int, rows: Int[Array, "*N"], words: Int[Array, "*N"]) -> Int[Array, "*N"]:
    """Returns the rows of order k + 1 that continue `rows` of order k by `words`; ABSENT for none,
    BEFORE after BEFORE.

    Args:
        params: The tables.
        k: The order of `rows`.
        rows: Rows of order k; may be ABSENT or BEFORE.
        words: The word after each.
    """
    children = _search(params.child_start[k - 1], params.words[k], rows, words)
    return jnp.where(rows == BEFORE, BEFORE, children)


@jax.jit  # compiled once a shape, also where a caller is not
def _search(start, table, rows, words):
    safe = jnp.maximum(rows, 0)
    low, end = start[safe], start[safe + 1]

    def halve(bounds):  # as often as the widest range of the batch needs
        low, high = bounds
        middle = (low + high) // 2
        right = (table[jnp.minimum(middle, len(table) - 1)] < words) & (low < high)
        return jnp.where(right, middle + 1, low), jnp.where(right, high, middle)

    low, _ = jax.lax.while_loop(lambda bounds: jnp.any(bounds[0] < bounds[1]), halve, (low, end))
    present = (rows >= 0) & (low < end) & (table[jnp.minimum(low, len(table) - 1)] == words)
    return jnp.where(present, low, ABSENT)


def extend(params: BackoffParams, context: list[Int[Array, "*N"]], words: Int[Array, "*N"]) -> list[Int[Array, "*N"]]:
    """Returns the rows of the n-grams of orders 1 .. n that end with `words`, after contexts of orders 1 .. n - 1.

    Args:
        params: The tables.
        context: Rows of the contexts, an array for each order 1 .. n - 1.
        words: The word after each context.
    """
    return [words, *(find_child(params, k, rows, words) for k, rows in enumerate(context, 1))]


def log_prob(
    params: BackoffParams, context: list[Int[Array, "*N"]], extended: list[Int[Array, "*N"]]
) -> Float[Array, "*N"]:
    """Returns log P of words in nats: that of the longest n-gram found, and the back-off weights above it.

    Args:
        params: The tables.
        context: Rows of the contexts, an array for each order 1 .. n - 1.
        extended: What `extend` has made of them and the words.
    """
    result = params.log_prob[0][extended[0]]
    for k, rows in enumerate(context, 1):
        present = extended[k] >= 0
        weight = backoff_weight(params, k, rows)
        result = jnp.where(present, params.log_prob[k][jnp.maximum(extended[k], 0)], result + weight)
    return result


def backoff_weight(params: BackoffParams, k: int, rows: Int[Array, "*N"]) -> Float[Array, "*N"]:
    """Returns log of what the probability after a shorter context is scaled by, where the longer n-gram is in no table.

    Args:
        params: The tables.
        k: The order of the contexts.
        rows: Their rows; may be ABSENT or BEFORE.
    """
    known = params.log_backoff[k - 1][jnp.maximum(rows, 0)]
    return jnp.where(rows >= 0, known, jnp.where(rows == ABSENT, params.log_missing, 0.0))
