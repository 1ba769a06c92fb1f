"""All edge gradients of a recurrence in one reverse scan, each row of adjoints with a scale of its own.

With carry_t, y_t = step(carry_{t-1}, x_t), J_i a function of y_i, and g_i = dJ_i/dy_i, the adjoint of J_i on the
recurrent edge that leaves step j is

    a_i(i-1) = (dy_i/dcarry_{i-1})^T g_i        a_i(j-1) = (dcarry_j/dcarry_{j-1})^T a_i(j)     for j < i

The scan goes back through t = T-1 .. 1 with a block of rows, one for each i whose lag is still measured; row i is
switched on at t = i, and all rows go through the vector-Jacobian product of one step at once. Norms are taken inside
the scan, so that memory is that of the rows, [S, B, H] for S rows, and of the norms: there is no [T, T, H] array.

A row is stored as a * 2^e, a near 1 and e a whole number, for each layer, so that nothing underflows or overflows.
Layers of a stack have exponents of their own, since the adjoint of an upper layer may vanish under one of a lower layer
that it takes no part of. For this every layer's adjoints are pulled back by themselves, and then added.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lm_jax.analysis.trajectory import step_from
from lm_jax.cells import Cell
from lm_jax.types import Carry, Params


# The exponent of nothing: below all others, and a sum of two still is an int32.
NOTHING = -(2**29)
# Rows that go through a step at once: enough for a product at full speed, few enough to skip those not yet switched on.
CHUNK = 64


def edge_norms(
    cell: Cell,
    params: Params,
    carries: Carry,
    xs: Float[Array, "T B E"],
    output_gradients: Float[Array, "T B H"],
    layers: list[list[int]],
    rows: int,
) -> tuple[list[list[Float[Array, "T-1 S B"]]], list[Int[Array, "T-1 S B"]]]:
    """Norms of the adjoints on the edges that leave steps 0 .. T-2, as exp(m) * 2^e.

    Args:
        cell: The recurrent cell.
        params: Its parameters.
        carries: The carry before each step, leaves [T, B, ...].
        xs: The inputs of the cell.
        output_gradients: dJ_i / dy_i of every step i.
        layers: The leaves of each layer, as places in `jax.tree.leaves(carry)`; other leaves are held.
        rows: The largest lag; S is a little larger.

    Returns:
        m [layer][leaf], and e [layer]. At index t-1 (the edge that leaves step t-1), slot s has the row i = T-1-s
        modulo S of t .. t+S-1; where i >= T there is nothing to be read. m is -inf for a gradient of zero.
    """
    steps, batch_size = xs.shape[:2]
    chunk = min(rows, -(-CHUNK // batch_size))
    chunks = -(-rows // chunk)

    def body(state, slices):
        t, before, x, g = slices
        pull_output, pull_layers = _linearise(functools.partial(cell.step, params), before, layers, x)

        def pull_chunk(k, state):
            start = k * chunk
            old = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, start, chunk), state[:2])
            return _store(state, add_scaled(*_pull_rows(pull_layers, *old)), start)

        switched_on = steps - 1 - t
        state = jax.lax.fori_loop(0, jnp.minimum(-(-switched_on // chunk), chunks), pull_chunk, state)
        row = jax.tree.map(lambda a: a[None], add_scaled(*_pull_first(pull_output, g)))
        state = _store(state, row, switched_on % (chunk * chunks))
        return state, (state[2], state[1])

    first = jax.tree.leaves(jax.tree.map(lambda leaf: leaf[0], carries))
    lead = (chunk * chunks, batch_size)
    blocks = [[jnp.zeros((lead[0], *first[place].shape), first[place].dtype) for place in layer] for layer in layers]
    norms = jax.tree.map(lambda block: jnp.full(lead, -jnp.inf, jnp.promote_types(block.dtype, jnp.float32)), blocks)
    exponents = [jnp.zeros(lead, jnp.int32) for _ in layers]
    slices = jax.tree.map(lambda a: a[1:], (jnp.arange(steps), carries, xs, output_gradients))
    return jax.lax.scan(body, (blocks, exponents, norms), slices, reverse=True)[1]


def _linearise(cell_step, before, layers, x):
    """Returns the pull-backs of one step: from gradients by y, and by each layer's leaves after,
    to those by all leaves before.

    Leaves before are by layer.
    """
    step_of_values, flat = step_from(cell_step, before, [place for layer in layers for place in layer])
    remaining = iter(flat)
    values = [[next(remaining) for _ in layer] for layer in layers]

    def step(values):
        after, y = step_of_values([value for layer_values in values for value in layer_values], x)
        return [[after[place] for place in layer] for layer in layers], y

    pull_output = jax.vjp(lambda v: step(v)[1], values)[1]
    return pull_output, [jax.vjp(lambda v, k=k: step(v)[0][k], values)[1] for k in range(len(layers))]


def _store(state, rows, start):
    """Returns the state (blocks, exponents, norms) with new rows (blocks, exponents) from slot `start` on."""
    norms = [[log_norm(leaf, 2) for leaf in layer] for layer in rows[0]]
    return jax.tree.map(lambda a, new: jax.lax.dynamic_update_slice_in_dim(a, new, start, 0), state, (*rows, norms))


def _pull_rows(pull_layers, blocks, exponents):
    """Computes what each layer's adjoints [S, B, ...] after a step contribute to those before it,
    and their exponents."""
    return [jax.vmap(lambda row, p=p: p(row)[0])(b) for p, b in zip(pull_layers, blocks, strict=True)], exponents


def _pull_first(pull_output, g):
    """Computes what the gradient [B, H] by a step's output contributes to the adjoints before it, and its exponent."""
    ((scaled,),), exponents = add_scaled([[[g]]], [jnp.zeros(g.shape[:1], jnp.int32)])
    return [pull_output(scaled)[0]], exponents


def add_scaled(
    contributions: list[list[list[Array]]], exponents: list[Int[Array, "*N"]]
) -> tuple[list[list[Array]], list[Int[Array, "*N"]]]:
    """Returns the sum over sources of contributions[source][layer][leaf] [*N, ...] * 2^exponents[source],
    layer by layer.

    Returns the sum as [layer][leaf] and an exponent per layer: the largest entry among a layer's contributions is
    between 1/2 and 2. What is 2^-126 below it is zero, as are contributions of subnormal numbers only. Exact but for
    the sum: only powers of two are multiplied.
    """
    axes = exponents[0].ndim
    sums, new_exponents = [], []
    for layer in range(len(contributions[0])):
        pieces = [source[layer] for source in contributions]
        tops = [jnp.max(jnp.stack([max_abs(leaf, axes) for leaf in piece]), axis=0) for piece in pieces]
        scaled = [split_power(top) for top in tops]
        totals = [
            jnp.where(shift > NOTHING, shift + e, NOTHING) for (_, shift), e in zip(scaled, exponents, strict=True)
        ]
        largest = jnp.max(jnp.stack(totals), axis=0)
        factors = [
            jnp.where(total > NOTHING, power_of_two(jnp.exp2((total - largest).astype(power.dtype))) / power, 0)
            for total, (power, _) in zip(totals, scaled, strict=True)
        ]
        sums.append(
            [
                sum(
                    (leaf * expand(factor, leaf)).astype(leaf.dtype)
                    for leaf, factor in zip(leaves, factors, strict=True)
                )
                for leaves in zip(*pieces, strict=True)
            ]
        )
        new_exponents.append(jnp.where(largest > NOTHING, largest, 0))
    return sums, new_exponents


def split_power(top: Float[Array, "*N"]) -> tuple[Float[Array, "*N"], Int[Array, "*N"]]:
    """Returns a power of two near each number, and its exponent; 1 and NOTHING where the number is zero or subnormal.

    A NaN or infinity stays one: it must not be taken for a gradient that has vanished.
    """
    zero = top < jnp.finfo(top.dtype).tiny  # false for NaN
    power = power_of_two(jnp.where(zero, 1, top))
    return power, jnp.where(zero, NOTHING, jnp.round(jnp.log2(power)).astype(jnp.int32))


def power_of_two(x: Array) -> Array:
    """x without its mantissa, rounded: exactly a power of two."""
    return jax.lax.reduce_precision(x, exponent_bits=jnp.finfo(x.dtype).nexp, mantissa_bits=0)


def max_abs(x: Float[Array, "..."], axes: int) -> Float[Array, "*N"]:
    """Returns the largest |entry| over all axes but the first `axes`."""
    top = jnp.max(jnp.abs(x), axis=tuple(range(axes, x.ndim)), initial=0.0)
    return top.astype(jnp.promote_types(x.dtype, jnp.float32))


def log_norm(x: Float[Array, "..."], axes: int) -> Float[Array, "*N"]:
    """Returns the log of the Euclidean norm over all axes but the first `axes`, without squares
    that underflow; -inf for zero."""
    power, squares = _scaled_squares(x, axes)
    return jnp.log(power) + 0.5 * jnp.log(squares)


def norm(x: Float[Array, "..."], axes: int) -> Float[Array, "*N"]:
    """Returns the Euclidean norm over all axes but the first `axes`, without squares that underflow."""
    power, squares = _scaled_squares(x, axes)
    return power * jnp.sqrt(squares)


def _scaled_squares(x, axes):
    """A power of two near the largest entry, and the sum of squares in its unit."""
    power, _ = split_power(max_abs(x, axes))
    return power, jnp.sum(jnp.square(x / expand(power, x)), axis=tuple(range(axes, x.ndim)))


def expand(factor: Float[Array, "*N"], like: Array) -> Array:
    """Returns the factor with axes of size one to the number of `like`."""
    return factor.reshape(factor.shape + (1,) * (like.ndim - factor.ndim))
