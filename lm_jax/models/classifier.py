"""A classifier of sequences: embedding, encoder, one vector of what it has read, and a softmax over classes.

    x_t = embedding[token_t]                       [E]     dropout; in training some tokens are read as unknown
    y_1 ... y_T = encoder(x_1 ... x_T)             [H]     dropout
    v = pool(y_1 ... y_T)                          [H]     last, mean, max or attention
    logits = W_out tanh(W_head v + b) + b_out      [C]     without a head: W_out v + b_out

    attention: v = sum_t a_t y_t, a = softmax_t(q . tanh(W_a y_t + b_a))        (Yang et al. 2016, section 2.2)

"last" is what each direction has when it has read everything: the forward half at the last step, the backward half at
the first. Padding is masked everywhere: it changes no result.

Shapes: tokens [T, *B], mask [T, *B] (False is padding), logits [*B, C].
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax import initializers
from lm_jax.attention import masked_softmax
from lm_jax.caching import cached
from lm_jax.cells.base import InitFn
from lm_jax.encoders import POOLING, Encoder, pool_ends
from lm_jax.errors import UserError, check_rate, check_sizes, one_of
from lm_jax.layers import Dropout, dropout, product
from lm_jax.models.opened_encoder import OpenedEncoder, log_prob_by_odds
from lm_jax.types import Key, Mask, Params, Tokens


class ClassLogitsFn(Protocol):
    """Logits [*B, C] of tokens, or of their embeddings; a key brings the randomness of training."""

    def __call__(
        self, params: Params, inputs: Array, /, *, mask: Mask | None = None, key: Key | None = None
    ) -> Float[Array, "*B C"]: ...


class Classifier(NamedTuple):
    """A classifier: pure functions and its sizes.

    logits: of tokens [T, *B]. logits_of_embedded: of their embeddings [T, *B, E], as `embed` makes them: what the
    gradient by each word is taken of. opened: the classifier around its encoder; its answers are classes [*B].
    """

    init: InitFn
    logits: ClassLogitsFn
    embed: Callable[[Params, Tokens], Float[Array, "T *B E"]]
    logits_of_embedded: ClassLogitsFn
    vocab_size: int
    classes: int
    opened: OpenedEncoder


@struct.dataclass
class HeadParams:
    """A layer of the head: w [H, K], b [K]."""

    w: Float[Array, "H K"]
    b: Float[Array, "K"]


@struct.dataclass
class AttentionPoolParams:
    """The scores of pooling by attention: w [H, H], b [H], query [H]."""

    w: Float[Array, "H H"]
    b: Float[Array, "H"]
    query: Float[Array, "H"]


@struct.dataclass
class ClassifierParams:
    """embedding [V, E]; the encoder's; those of pooling (None but for attention); head (None without); out."""

    embedding: Float[Array, "V E"]
    encoder: Params
    pool: AttentionPoolParams | None
    head: HeadParams | None
    out: HeadParams


@cached
def classifier(
    vocab_size: int,
    classes: int,
    encoder: Encoder,
    *,
    pooling: str = "max",
    head_size: int | None = None,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
    word_dropout: float = 0.0,
    unk_id: int | None = None,
    init_bound: float = 0.1,
) -> Classifier:
    """Makes a classifier around any encoder; the size of its embedding is the encoder's input size.

    Args:
        vocab_size: vocabulary entries of the input.
        classes: at least 2.
        encoder: reads the sequence.
        pooling: "last", "mean", "max" or "attention".
        head_size: units of a hidden layer before the classes; None for none.
        dropout_rate: share dropped of embedded inputs, of outputs and of the head.
        dropout_kind: "elementwise" or "locked" in time.
        word_dropout: share of the tokens that are read as `unk_id` when a key is given.
        unk_id: the unknown token.
        init_bound: the embedding starts uniform on (-init_bound, init_bound).

    Returns:
        The classifier.

    Raises:
        UserError: for sizes, rates or a pooling out of range, and word dropout without an unknown token.
    """
    check_sizes(vocab_size=vocab_size, **({} if head_size is None else {"head_size": head_size}))
    check_rate("word_dropout", word_dropout)
    if classes < 2:
        raise UserError(f"a classifier needs at least two classes, got {classes}")
    if word_dropout and unk_id is None:
        raise UserError(f"word_dropout needs an unknown token, got {word_dropout} without", ["word_dropout"])
    unknown = 0 if unk_id is None else unk_id
    rates, size = Dropout(dropout_rate, dropout_kind), encoder.output_size
    pool = one_of("pooling", pooling, _poolings(encoder))

    def init(key):
        key_e, key_c, key_p, key_h, key_o = jax.random.split(key, 5)
        return ClassifierParams(
            embedding=initializers.uniform(init_bound)(key_e, (vocab_size, encoder.input_size), jnp.float32),
            encoder=encoder.init(key_c),
            pool=_init_attention(key_p, size) if pooling == "attention" else None,
            head=None if head_size is None else _init_layer(key_h, size, head_size),
            out=_init_layer(key_o, head_size or size, classes),
        )

    def embed(params, tokens):
        return params.embedding[tokens]

    def logits_of_embedded(params, xs, *, mask=None, key=None):
        keys = (None,) * 4 if key is None else jax.random.split(key, 4)
        xs = dropout(keys[0], rates.rate, xs, rates.kind)
        ys = encoder.encode(params.encoder, xs, mask=mask, key=keys[1])
        return _decide(pool, rates.rate, params, ys, mask, keys[2:])

    def logits(params, tokens, *, mask=None, key=None):
        if key is not None and word_dropout:
            key, key_w = jax.random.split(key)
            tokens = jnp.where(jax.random.bernoulli(key_w, word_dropout, tokens.shape), unknown, tokens)
        return logits_of_embedded(params, embed(params, tokens), mask=mask, key=key)

    return Classifier(init, logits, embed, logits_of_embedded, vocab_size, classes, _opened(encoder, embed, pool))


def _decide(pool, rate, params, ys, mask, keys):
    """Pooled outputs of the encoder to logits; keys of dropout, of the pooled vector and of the head."""
    pooled = dropout(keys[0], rate, pool(params.pool, ys, mask))
    if params.head is not None:
        pooled = dropout(keys[1], rate, jnp.tanh(product(pooled, params.head.w) + params.head.b))
    return product(pooled, params.out.w) + params.out.b


def _opened(encoder, embed, pool):
    def log_probs(params, ys, labels, mask):
        return log_prob_by_odds(_decide(pool, 0.0, params, ys, mask, (None, None)), labels)[None]

    return OpenedEncoder(encoder, lambda params, tokens, mask: (embed(params, tokens), mask), log_probs)


def _poolings(encoder):
    """Functions (params, ys, mask) -> [*B, H] by name."""
    plain = {name: lambda params, ys, mask, pool=pool: pool(ys, mask) for name, pool in POOLING.items()}
    return {
        **plain,
        "last": lambda params, ys, mask: pool_ends(ys, mask, encoder.forward_size),
        "attention": pool_attention,
    }


def pool_attention(
    params: AttentionPoolParams, ys: Float[Array, "T *B H"], mask: Mask | None = None
) -> Float[Array, "*B H"]:
    """Returns the mean of a row's outputs over its valid steps, weighted by `attention_weights`; zeros without one.

    Args:
        params: The parameters of the attention.
        ys: The outputs of the encoder.
        mask: Bool [T, *B], False where a step is padding; None for none.
    """
    return jnp.sum(attention_weights(params, ys, mask)[..., None] * ys, axis=0)


def attention_weights(
    params: AttentionPoolParams, ys: Float[Array, "T *B H"], mask: Mask | None = None
) -> Float[Array, "T *B"]:
    """Returns the weight of each step: they sum to one over the valid steps, and are zero elsewhere.

    Args:
        params: The parameters of the attention.
        ys: The outputs of the encoder.
        mask: Bool [T, *B], False where a step is padding; None for none.
    """
    scores = jnp.tanh(product(ys, params.w) + params.b) @ params.query
    valid = jnp.ones(scores.shape, bool) if mask is None else mask
    return jnp.moveaxis(masked_softmax(jnp.moveaxis(scores, 0, -1), jnp.moveaxis(valid, 0, -1)), -1, 0)


def _init_layer(key, rows, columns):
    return HeadParams(initializers.lecun_normal(key, (rows, columns), jnp.float32), jnp.zeros((columns,), jnp.float32))


def _init_attention(key, size):
    key_w, key_q = jax.random.split(key)
    w = initializers.lecun_normal(key_w, (size, size), jnp.float32)
    return AttentionPoolParams(
        w, jnp.zeros((size,), jnp.float32), jax.random.normal(key_q, (size,), jnp.float32) / size**0.5
    )
