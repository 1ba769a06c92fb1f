"""The adaptive softmax (Grave et al. 2017), and with it the tied adaptive embedding (Baevski & Auli 2019).

For large vocabularies. Ids are cut into a head, those below cutoffs[0], and C tail clusters: cluster c = 1 .. C ends at
cutoffs[c], the last one at V. With y [H] an output of the recurrence, d_c = H / factor^c (rounded down, at least 1),
and i the place of word w in its cluster:

    log P(w) = log softmax(W_0 y + b_0)[w]                                                   w in the head
    log P(w) = log softmax(W_0 y + b_0)[V_0 + c - 1] + log softmax(W_c P_c y + b_c)[i]       w in cluster c

W_0 [V_0 + C, H] has a row for every word of the head and one for every cluster; P_c [d_c, H], W_c [V_c, d_c].
Probabilities are exact and sum to one over all V words whatever the order of the ids. It is for speed that frequent
words come first, as in a word vocabulary (lm_jax/data/vocabulary.py): then few tokens are in a tail.

Tied: the input embedding of word w is its row of W_0 in the head, P_c^T W_c[i] in cluster c. All W and P are shared;
the rows of the clusters in W_0 and the biases are the softmax's alone.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from lm_jax import initializers
from lm_jax.errors import UserError, check_rising, check_sizes
from lm_jax.layers import cast, product, softmax_log_probs
from lm_jax.models.recurrent.readout import Readout
from lm_jax.models.recurrent.tail_log_probs import tail_log_probs
from lm_jax.types import Params


class Clusters(NamedTuple):
    """The head and the tail clusters: first ids (0, cutoffs...), numbers of words V_0 .. V_C, and d_0 = H .. d_C."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    widths: tuple[int, ...]


@struct.dataclass
class ClusterParams:
    """The parameters of a tail cluster: words W_c [V_c, d_c], projection P_c [d_c, H], bias b_c [V_c]."""

    words: Float[Array, "Vc d"]
    projection: Float[Array, "d H"]
    bias: Float[Array, "Vc"]


@struct.dataclass
class AdaptiveParams:
    """head [V_0, H] and clusters [C, H]: the rows of W_0; b_head [V_0 + C]; the tail clusters."""

    head: Float[Array, "V0 H"]
    clusters: Float[Array, "C H"]
    b_head: Float[Array, "V0+C"]
    tails: tuple[ClusterParams, ...]


@struct.dataclass
class AdaptiveLMParams:
    """embedding [V, E] (None where tied), the cell's parameters, those of the softmax (where tied, the embedding's)."""

    embedding: Float[Array, "V E"] | None
    cell: Params
    softmax: AdaptiveParams


def cut_vocabulary(vocab_size: int, cutoffs: tuple[int, ...], width: int, factor: int) -> Clusters:
    """Cuts a vocabulary into clusters of falling frequency.

    Args:
        vocab_size: V.
        cutoffs: The first id of each cluster after the head.
        width: Size of the outputs, and of the words of the head.
        factor: By which the words of each further cluster are narrower.

    Raises:
        UserError: Unless cutoffs rise inside the vocabulary and factor is at least 1.
    """
    check_sizes(cutoff_factor=factor)
    check_rising("cutoffs", cutoffs)
    if not cutoffs or cutoffs[-1] >= vocab_size:
        raise UserError(f"cutoffs must be below the size of the vocabulary, {vocab_size}, got {cutoffs}", ["cutoffs"])
    starts, ends = (0, *cutoffs), (*cutoffs, vocab_size)
    widths = tuple(max(1, width // factor**c) for c in range(len(starts)))
    return Clusters(starts, tuple(b - a for a, b in zip(starts, ends, strict=True)), widths)


def init_adaptive(key, clusters: Clusters, init_bound: float) -> AdaptiveParams:
    """Words uniform on (-init_bound, init_bound), biases 0; projections of variance 1 / d_c, by which embeddings and
    logits have the same variance in every cluster.

    Args:
        key: The key of the draw.
        clusters: The clusters of the vocabulary.
        init_bound: The bound of the words' values.
    """
    key_head, key_clusters, *keys = jax.random.split(key, 1 + len(clusters.sizes))
    draw, width = initializers.uniform(init_bound), clusters.widths[0]

    def tail(key, words, d):
        key_w, key_p = jax.random.split(key)
        project = initializers.uniform(math.sqrt(3 / d))
        return ClusterParams(
            draw(key_w, (words, d), jnp.float32),
            project(key_p, (d, width), jnp.float32),
            jnp.zeros((words,), jnp.float32),
        )

    rows = len(clusters.sizes) - 1
    return AdaptiveParams(
        head=draw(key_head, (clusters.sizes[0], width), jnp.float32),
        clusters=draw(key_clusters, (rows, width), jnp.float32),
        b_head=jnp.zeros((clusters.sizes[0] + rows,), jnp.float32),
        tails=tuple(map(tail, keys, clusters.sizes[1:], clusters.widths[1:])),
    )


def adaptive_embedding(params: AdaptiveParams, clusters: Clusters, ids: Int[Array, "*N"]) -> Float[Array, "*N H"]:
    """Returns the tied embedding of words.

    Args:
        params: The parameters of the softmax.
        clusters: The clusters of the vocabulary.
        ids: The words.
    """
    xs = params.head[_within(ids, clusters, 0)]
    for c, tail in enumerate(params.tails, 1):
        embedded = product(tail.words[_within(ids, clusters, c)], tail.projection)
        xs = jnp.where((ids >= clusters.starts[c])[..., None], embedded, xs)
    return xs


def adaptive_log_softmax(params: AdaptiveParams, clusters: Clusters, ys: Float[Array, "*N H"]) -> Float[Array, "*N V"]:
    """Returns log P(w) of all words: logits that are already normalised.

    Args:
        params: The parameters of the softmax.
        clusters: The clusters of the vocabulary.
        ys: The outputs of the cell.
    """
    head = jax.nn.log_softmax(product(ys, _head_weights(params)) + params.b_head)
    parts = [head[..., : clusters.sizes[0]]]
    for c, tail in enumerate(params.tails):
        logits = product(product(ys, tail.projection.T), tail.words.T) + tail.bias
        parts.append(jax.nn.log_softmax(logits) + head[..., clusters.sizes[0] + c, None])
    return jnp.concatenate(parts, axis=-1)


def adaptive_log_probs(
    params: AdaptiveParams, clusters: Clusters, ys: Float[Array, "*N H"], targets: Int[Array, "*N"], logits_limit: int
) -> Float[Array, "*N"]:
    """Returns log P(target): of a tail cluster, only the rows whose targets are in it.

    Args:
        params: The parameters of the softmax.
        clusters: The clusters of the vocabulary.
        ys: The outputs of the cell.
        targets: Ids.
        logits_limit: The most bytes that logits may take; where they would take more, they are made in pieces.
    """
    shape, ys, targets = targets.shape, ys.reshape(-1, ys.shape[-1]), targets.reshape(-1)
    cluster = sum(((targets >= start).astype(jnp.int32) for start in clusters.starts[1:]), jnp.zeros_like(targets))
    in_head = jnp.where(cluster == 0, targets, clusters.sizes[0] + cluster - 1)
    result = softmax_log_probs(ys, _head_weights(params), params.b_head, in_head, logits_limit)
    for c, tail in enumerate(params.tails, 1):
        hs = product(ys, tail.projection.T)
        result += tail_log_probs(hs, tail.words, tail.bias, _within(targets, clusters, c), cluster == c)
    return result.reshape(shape)


def _head_weights(params):
    return jnp.concatenate([params.head, params.clusters]).T


def _within(ids, clusters, c):
    """Returns the place of words in cluster c; for those of other clusters any place in it."""
    return jnp.clip(ids - clusters.starts[c], 0, clusters.sizes[c] - 1)


def adaptive_readout(vocab_size, cell, cutoffs, factor, tied, init_bound, compute_dtype, logits_limit) -> Readout:
    """Makes the readout of a recurrent model with an adaptive softmax and, where tied, an adaptive embedding.

    Args:
        vocab_size: V.
        cell: The recurrent cell below.
        cutoffs: The first id of each cluster after the head.
        factor: By which the words of each further cluster are narrower.
        tied: Embeds words by the softmax's own vectors.
        init_bound: The bound of the words' initial values.
        compute_dtype: The type of the operands of products; None leaves it as it is.
        logits_limit: The most bytes that logits may take; where they would take more, they are made in pieces.
    """
    clusters = cut_vocabulary(vocab_size, cutoffs, cell.output_size, factor)

    def init(key_e, key_o, cell_params):
        embedding = initializers.uniform(init_bound)(key_e, (vocab_size, cell.input_size), jnp.float32)
        return AdaptiveLMParams(None if tied else embedding, cell_params, init_adaptive(key_o, clusters, init_bound))

    def operands(params):
        """Returns the softmax's parameters, matrices in the type of products."""
        return jax.tree.map(lambda a: cast(a, compute_dtype) if a.ndim == 2 else a, params.softmax)

    def embed(params, tokens):
        return adaptive_embedding(params.softmax, clusters, tokens) if tied else params.embedding[tokens]

    def logits(params, ys):
        return adaptive_log_softmax(operands(params), clusters, ys)

    def log_probs(params, ys, targets):
        return adaptive_log_probs(operands(params), clusters, ys, targets, logits_limit)

    return Readout(init, embed, logits, log_probs, adaptive_vocab_axes)


def adaptive_vocab_axes(params: AdaptiveLMParams) -> AdaptiveLMParams:
    """Returns the axes of words: of the embedding, of the head's words, and of each tail's words and biases.

    The rows of the clusters and the projections have none, nor has b_head: its last entries are of clusters.
    """
    axes = jax.tree.map(lambda _: -1, params)
    tails = tuple(tail.replace(words=0, bias=0) for tail in axes.softmax.tails)
    embedding = None if params.embedding is None else 0
    return axes.replace(embedding=embedding, softmax=axes.softmax.replace(head=0, tails=tails))
