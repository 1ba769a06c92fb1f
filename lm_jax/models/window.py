"""The fixed-window neural language model (Bengio et al. 2003, JMLR 3), and its deep form (Sun & Iyyer 2021).

The next token is predicted from the embeddings of the last `window` tokens, side by side: a neural n-gram of order
n = window + 1. In the letters of Bengio et al., C(w) the embedding of w, H and W matrices:

    x = [C(w_{t-1}), C(w_{t-2}), .., C(w_{t-window})]       [window * E]    the newest token first
    y = b + W x + U tanh(d + H x)                           [V]             P(w_t | ..) = softmax(y)[w_t]

Every position has rows of its own in H (and in W, the optional direct connection): nothing is shared between
positions, and the parameters grow with the window by E * hidden_size (and E * V) a token. A position before the start
of a stream holds the zero vector. The deep form has layers k = 1, 2, .. on u_1 = x, and U reads the last u:

    a_k = f(u_k W_k + b_k)
    u_{k+1} = norm(a_k)          plain, and the first layer always
              norm(u_k + a_k)    residual                       norm: layer normalisation, or nothing

Sun & Iyyer (arXiv 2104.03474) have two products to a layer, and also summaries of what lies before the window and an
adaptive softmax, which are not here.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from lm_jax import initializers
from lm_jax.caching import cached
from lm_jax.cells.base import masked_scan
from lm_jax.cells.rnn import NONLINEARITIES
from lm_jax.errors import UserError, check_sizes, one_of
from lm_jax.initializers import Initializer, lecun_normal, orthogonal, zeros
from lm_jax.layers import Dropout, cast, product, row_dropout, softmax_log_probs
from lm_jax.layers import dropout as drop_out
from lm_jax.layers import layer_norm as normalise
from lm_jax.models.language_model import LanguageModel, check_vocab_size, masked_log_probs, step_of
from lm_jax.types import Mask, Tokens


BEFORE = -1  # instead of a token id where the stream has not begun
CONNECTIONS = ("plain", "residual")


@struct.dataclass
class LayerParams:
    """w [inputs, H], b [H]; scale and offset of the layer normalisation [H], None without one."""

    w: Float[Array, "E H"]
    b: Float[Array, "H"]
    scale: Float[Array, "H"] | None
    offset: Float[Array, "H"] | None


@struct.dataclass
class WindowLMParams:
    """embedding [V, E]; the layers, the first with w [window * E, H], E rows a position, the newest first;
    w_out [H, V] (None where tied to the embedding); w_direct [window * E, V] (None without); b_out [V]."""

    embedding: Float[Array, "V E"]
    layers: tuple[LayerParams, ...]
    w_out: Float[Array, "H V"] | None
    w_direct: Float[Array, "inputs V"] | None
    b_out: Float[Array, "V"]


@dataclasses.dataclass(frozen=True)
class WindowInits:
    """The initializers of a window model's weights.

    w_x_init: the first layer's weights. w_h_init: those of the other layers. b_init: biases. init_bound: embedding,
    U and W start uniform on (-init_bound, init_bound).
    """

    w_x_init: Initializer = lecun_normal
    w_h_init: Initializer = orthogonal()
    b_init: Initializer = zeros
    init_bound: float = 0.1


@cached
def window_lm(
    vocab_size: int,
    *,
    window: int = 4,
    embedding_size: int = 64,
    hidden_size: int = 256,
    top_size: int | None = None,
    layers: int = 1,
    connection: str = "plain",
    layer_norm: bool = False,
    nonlinearity: str = "tanh",
    direct: bool = False,
    tied: bool = False,
    dropout: Dropout = Dropout(),
    inits: WindowInits = WindowInits(),
    compute_dtype: str | None = None,
    logits_limit: int = 2**29,
) -> LanguageModel:
    """Makes a language model of the last `window` tokens; the carry is all but the newest of them.

    The carry is int32 [*B, window - 1], the newest first. A gradient never flows
    from step to step. With the defaults it is the model of 2003 without its direct connection.

    Args:
        vocab_size: V.
        window: how many tokens a prediction is made from.
        embedding_size: E.
        hidden_size: units of a layer.
        top_size: units of the last layer, if not hidden_size.
        layers: how many.
        connection: "plain" or "residual".
        layer_norm: whether layers end with layer normalisation.
        nonlinearity: f, one of tanh, relu, sigmoid, identity.
        direct: adds W x.
        tied: U is the embedding transposed, which needs a last layer of embedding_size units.
        dropout: rates for x (input), between layers, for the last layer (output), and for vocabulary entries;
            only with a key.
        inits: how weights are drawn.
        compute_dtype: the type of the operands of products; None keeps the parameters' own.
        logits_limit: bytes of logits above which `score` works in pieces and holds no [T, B, V] array.

    Returns:
        The model.

    Raises:
        UserError: a size or a choice outside its range, or sizes that cannot be tied or added.
    """
    check_sizes(vocab_size=vocab_size, window=window, embedding_size=embedding_size, layers=layers)
    sizes = [hidden_size] * (layers - 1) + [hidden_size if top_size is None else top_size]
    check_sizes(hidden_size=hidden_size, top_size=sizes[-1])
    _check(vocab_size, embedding_size, sizes, connection, tied)
    w_inits = [inits.w_x_init] + [inits.w_h_init] * (layers - 1)
    f = one_of("nonlinearity", nonlinearity, NONLINEARITIES)
    through_layers = _feed_forward(f, connection == "residual", dropout, compute_dtype)
    drop = functools.partial(drop_out, kind=dropout.kind)

    def init(key):
        key_e, key_l, key_o, key_d = jax.random.split(key, 4)
        draw = initializers.uniform(inits.init_bound)
        return WindowLMParams(
            embedding=draw(key_e, (vocab_size, embedding_size), jnp.float32),
            layers=_init_layers(key_l, [window * embedding_size, *sizes], w_inits, inits.b_init, layer_norm),
            w_out=None if tied else draw(key_o, (sizes[-1], vocab_size), jnp.float32),
            w_direct=draw(key_d, (window * embedding_size, vocab_size), jnp.float32) if direct else None,
            b_out=jnp.zeros((vocab_size,), jnp.float32),
        )

    def initial_carry(params, batch_shape):
        del params
        return jnp.full((*batch_shape, window - 1), BEFORE, jnp.int32)

    def readout(params):
        w = params.embedding.T if tied else params.w_out
        w = jnp.concatenate([w, params.w_direct]) if direct else w
        return cast(w, compute_dtype), params.b_out

    def last_layer(params, carry, tokens, mask, reset, key):
        """Returns the values in which the logits are linear, [T, *B, H]; for the direct connection with x beside it."""
        keys = (None,) * 4 if key is None else jax.random.split(key, 4)
        carry, ids = read_windows(initial_carry(params, tokens.shape[1:]), carry, tokens, mask, reset)
        x = look_up(row_dropout(keys[0], dropout.embedding, params.embedding), ids)
        x = drop(keys[1], dropout.input_rate, x)
        u = drop(keys[3], dropout.output_rate, through_layers(params.layers, x, keys[2]))
        return carry, jnp.concatenate([u, x], axis=-1) if direct else u

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        carry, u = last_layer(params, carry, tokens, mask, reset, key)
        w, b = readout(params)
        return carry, product(u, w) + b

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        carry, u = last_layer(params, carry, inputs, mask, reset, key)
        log_probs = softmax_log_probs(u, *readout(params), targets, logits_limit)
        return carry, masked_log_probs(log_probs, mask)

    return LanguageModel(init, initial_carry, step_of(unroll), unroll, score, vocab_size, vocab_axes=window_vocab_axes)


def window_vocab_axes(params: WindowLMParams) -> WindowLMParams:
    """Returns the vocabulary axes of the embedding, the softmax and the direct connection; -1 for the layers."""
    axes = jax.tree.map(lambda _: -1, params)
    w_out, w_direct = (None if w is None else 1 for w in (params.w_out, params.w_direct))
    return axes.replace(embedding=0, w_out=w_out, w_direct=w_direct, b_out=0)


def read_windows(
    initial: Int[Array, "*B W"], carry: Int[Array, "*B W"], tokens: Tokens, mask: Mask | None, reset: Mask | None
) -> tuple[Int[Array, "*B W"], Int[Array, "T *B W+1"]]:
    """Returns the last tokens at every step, the newest first, and the carry after the last step; integers only.

    A masked step is left out of all later windows; a reset puts `initial` before its step.

    Args:
        initial: The window before the first token of a text.
        carry: The last W tokens, the newest first.
        tokens: The tokens of the chunk, [T, *B].
        mask: Bool [T, *B], False where a step is padding; None for none.
        reset: Bool [T, *B], True where a new text begins; None for none.
    """
    if not carry.shape[-1]:  # a window of one token: there is nothing to remember, to mask or to reset
        return carry, tokens[..., None]
    if mask is None and reset is None:  # no loop: the window is slices of one stream
        earlier = jnp.moveaxis(carry[..., ::-1], -1, 0)
        stream, oldest = jnp.concatenate([earlier, tokens.astype(carry.dtype)]), carry.shape[-1]
        ids = jnp.stack([stream[oldest - k :][: len(tokens)] for k in range(oldest + 1)], axis=-1)
        return ids[-1, ..., :-1], ids

    def shift(carry, token):
        ids = jnp.concatenate([token[..., None].astype(carry.dtype), carry], axis=-1)
        return ids[..., :-1], ids

    return masked_scan(shift, initial, carry, tokens, mask, reset)


def look_up(embedding: Float[Array, "V E"], ids: Int[Array, "*N window"]) -> Float[Array, "*N window*E"]:
    """Returns the embeddings of a window side by side; zeros for a position before the start (a negative id)."""
    vectors = jnp.where(ids[..., None] < 0, 0.0, embedding[jnp.maximum(ids, 0)])
    return vectors.reshape(*ids.shape[:-1], -1)


def position_norms(params: WindowLMParams) -> Float[Array, "window"]:
    """Returns the Frobenius norm of each position's block [E, H] of the first layer's weights,
    the newest position first."""
    w = params.layers[0].w
    return jnp.linalg.norm(w.reshape(-1, params.embedding.shape[1] * w.shape[1]), axis=1)


def _init_layers(key, sizes, inits, b_init, layer_norm):
    layers = []
    for number, w_init in enumerate(inits):
        key_w, key_b = jax.random.split(jax.random.fold_in(key, number))
        shape = sizes[number], sizes[number + 1]
        scale, offset = (f(shape[1:], jnp.float32) if layer_norm else None for f in (jnp.ones, jnp.zeros))
        w, b = w_init(key_w, shape, jnp.float32), b_init(key_b, shape[1:], jnp.float32)
        layers.append(LayerParams(w, b, scale, offset))
    return tuple(layers)


def _feed_forward(f, residual, dropout, compute_dtype):
    def through_layers(layers, u, key):
        keys = [None] * len(layers) if key is None else jax.random.split(key, len(layers))
        for number, layer in enumerate(layers):
            u = drop_out(keys[number], dropout.layer_rate, u, dropout.kind) if number > 0 else u
            a = f(product(u, cast(layer.w, compute_dtype)) + layer.b)
            a = u + a if residual and number > 0 else a
            u = a if layer.scale is None else normalise(a, layer.scale, layer.offset)
        return u

    return through_layers


def _check(vocab_size, embedding_size, sizes, connection, tied):
    check_vocab_size(vocab_size)
    if connection not in CONNECTIONS:
        raise UserError(f"connection must be plain or residual for a window model, got {connection!r}", ["connection"])
    if connection == "residual" and sizes[0] != sizes[-1]:
        rule = "residual connections need top_size equal to hidden_size"
        raise UserError(f"{rule}, got {sizes[-1]} and {sizes[0]}", ["top_size", "hidden_size"])
    if tied and sizes[-1] != embedding_size:
        raise UserError(
            f"a tied softmax needs embedding_size equal to hidden_size, got {embedding_size} and {sizes[-1]}; "
            f"give embedding_size={sizes[-1]}",
            ("embedding_size", "hidden_size"),
        )
