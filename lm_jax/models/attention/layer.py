"""One layer of a causal Transformer as a cell, whose carry is its cache of keys and values.

    u_t = x_t + [a_t^1 .. a_t^N] W_o          a by attention over the last W steps, from rms_norm(x) W_q, W_k, W_v
    y_t = u_t + (silu(z_t W_g) * z_t W_u) W_d                                          z_t = rms_norm(u_t)

Normalisation before each part, none on the way past it (Xiong et al. 2020, arXiv:2002.04745); rotary positions; gated
units (Shazeer 2020, arXiv:2002.05202); no biases: the layer of LLaMA (Touvron et al. 2023, arXiv:2302.13971). Dropout
acts on what either part adds, only with a key. The top layer may normalise its output.
Shapes: x, u, y [*B, H], w_q [H, N D], w_k and w_v [H, G D], w_o [N D, H] with N D = H, w_g and w_u [H, M], w_d [M, H].
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell
from lm_jax.cells.varying import same_axes, state_dtype, wide
from lm_jax.errors import UserError, check_sizes
from lm_jax.initializers import lecun_normal
from lm_jax.layers import Dropout, cast, dropout, product, rms_norm
from lm_jax.models.attention.cached_attention import Heads, cached_attention, empty_cache


@struct.dataclass
class AttentionLayerParams:
    """The weights of the attention and of the feed-forward network, and the scales [H] of the normalisations;
    norm_out is None in a layer that does not normalise its output."""

    w_q: Float[Array, "H H"]
    w_k: Float[Array, "H GD"]
    w_v: Float[Array, "H GD"]
    w_o: Float[Array, "H H"]
    w_gate: Float[Array, "H M"]
    w_up: Float[Array, "H M"]
    w_down: Float[Array, "M H"]
    norm_attention: Float[Array, "H"]
    norm_network: Float[Array, "H"]
    norm_out: Float[Array, "H"] | None


@cached
def attention_layer(
    size: int,
    *,
    heads: int = 4,
    kv_heads: int | None = None,
    feed_forward_size: int | None = None,
    context: int = 128,
    dropout_rate: float = 0.0,
    dropout_kind: str = "elementwise",
    output_scale: float = 1.0,
    normalised: bool = False,
    compute_dtype: str | None = None,
) -> Cell:
    """Makes a layer; its carry is a `KeyValueCache` of the last context - 1 steps.

    Args:
        size: H, of inputs and outputs.
        heads: N, which divides H into heads of an even size D.
        kv_heads: G, heads of keys and values, which divides N. Default: N.
        feed_forward_size: M. Default: 8/3 H, rounded up to a multiple of 8, which makes the weights of 4 H ungated.
        context: W, steps that a step attends to, itself included.
        dropout_rate: the share dropped of what the attention and the network add.
        dropout_kind: "elementwise", or "locked" in time.
        output_scale: factor of the initial W_o and W_d.
        normalised: whether the output is normalised.
        compute_dtype: the type of the operands of products; None keeps the parameters' own.

    Returns:
        The cell.

    Raises:
        UserError: for a size, or a number of heads, outside its range.
    """
    kv_heads = heads if kv_heads is None else kv_heads
    head_size = _head_size(size, heads, kv_heads, context)
    width = -(-size * 8 // 3 // 8) * 8 if feed_forward_size is None else feed_forward_size
    check_sizes(feed_forward_size=width)
    drop = Dropout(dropout_rate, dropout_kind)

    def init(key):
        return _init(key, size, kv_heads * head_size, width, output_scale, normalised)

    def initial_carry(params, batch_shape):
        return empty_cache(batch_shape, context - 1, kv_heads, head_size, state_dtype(params.w_k))

    def split(params, xs):
        normal = rms_norm(xs, params.norm_attention)
        weights = (params.w_q, params.w_k, params.w_v)
        parts = [product(normal, cast(w, compute_dtype)) for w in weights]
        return Heads(*(part.reshape(*part.shape[:-1], -1, head_size) for part in parts))

    def network(params, us):
        normal = rms_norm(us, params.norm_network)
        gate, up = (product(normal, cast(w, compute_dtype)) for w in (params.w_gate, params.w_up))
        return product(jax.nn.silu(gate) * up, cast(params.w_down, compute_dtype))

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        key_a, key_n = (None, None) if key is None else jax.random.split(key)
        params, carry, xs, mask, reset = same_axes(params, wide(carry), xs.astype(state_dtype(xs)), mask, reset)
        carry, answers = cached_attention(carry, split(params, xs), mask, reset, compute_dtype)
        added = product(answers.reshape(xs.shape), cast(params.w_o, compute_dtype))
        us = xs + dropout(key_a, drop.rate, added, drop.kind)
        ys = us + dropout(key_n, drop.rate, network(params, us), drop.kind)
        return carry, ys if params.norm_out is None else rms_norm(ys, params.norm_out)

    def step(params, carry, x):
        carry, ys = unroll(params, carry, x[None])
        return carry, ys[0]

    return Cell(init, initial_carry, step, unroll, size, size)


def _init(key, size, kv_size, width, output_scale, normalised):
    keys, both = jax.random.split(key, 7), (size, kv_size)
    shapes = ((size, size), both, both, (size, size), (size, width), (size, width), (width, size))
    drawn = [lecun_normal(k, shape, jnp.float32) for k, shape in zip(keys, shapes, strict=True)]
    w_q, w_k, w_v, w_o, w_gate, w_up, w_down = drawn
    norms = [jnp.ones((size,), jnp.float32) for _ in range(3)]
    return AttentionLayerParams(
        w_q=w_q,
        w_k=w_k,
        w_v=w_v,
        w_o=output_scale * w_o,
        w_gate=w_gate,
        w_up=w_up,
        w_down=output_scale * w_down,
        norm_attention=norms[0],
        norm_network=norms[1],
        norm_out=norms[2] if normalised else None,
    )


def _head_size(size, heads, kv_heads, context):
    check_sizes(hidden_size=size, heads=heads, kv_heads=kv_heads, context=context)
    if context < 2:
        raise UserError(f"context must be at least 2, a token and one before it, got {context}", ["context"])
    if size % heads or size // heads % 2:
        rule = f"heads must divide hidden_size {size} into parts of an even size (rotary positions turn pairs)"
        raise UserError(f"{rule}, got {heads}", ["heads", "hidden_size"])
    if heads % kv_heads:
        raise UserError(f"kv_heads must divide heads {heads}, got {kv_heads}", ["kv_heads", "heads"])
    return size // heads
