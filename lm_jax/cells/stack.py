"""Stacks of cells: plain, residual, highway and dense connections, with dropout between the layers.

With u_k the input of layer k, c_k its cell and y_k its output (u_0 is the input of the stack):

    plain      y_k = c_k(u_k)                                  u_{k+1} = y_k
    residual   y_k = u_k + c_k(u_k)                            u_{k+1} = y_k         (He et al. 2016)
    highway    y_k = t * c_k(u_k) + (1 - t) * u_k              u_{k+1} = y_k         (Srivastava et al. 2015)
               t = sigmoid(u_k W_t + b_t), b_t = -1 at the start, so that a stack begins near the identity
    dense      y_k = c_k(u_k)                                  u_{k+1} = [u_k, y_k]  (Huang et al. 2017)

The output of the stack is the top layer's y. Residual and highway connections need an input of the size of the
output, so they apply to every layer but, where the sizes differ, the first. Dropout acts on what one layer hands to
the next, never on the input or the output of the stack, and never inside the loop over time.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.cells.base import Cell
from lm_jax.errors import UserError, check_sizes
from lm_jax.layers import Dropout, dropout, product
from lm_jax.types import Key, Params


CONNECTIONS = ("plain", "residual", "highway", "dense")


@struct.dataclass
class HighwayParams:
    """The transform gate of one layer: w_t [H, H], b_t [H]."""

    w_t: Float[Array, "H H"]
    b_t: Float[Array, "H"]


@struct.dataclass
class StackParams:
    """Per layer: the cell's parameters, and those of its highway gate (None where there is none)."""

    cells: tuple[Params, ...]
    gates: tuple[HighwayParams | None, ...]


def input_sizes(connection: str, input_size: int, hidden_sizes: Sequence[int]) -> list[int]:
    """Returns the input size of each layer of a stack whose layers have these hidden sizes.

    Args:
        connection: How the layers are joined; with "dense" each reads the input and the outputs of all layers below.
        input_size: E of the first layer.
        hidden_sizes: H of each layer, the lowest first.

    Raises:
        UserError: For an input_size below 1.
    """
    check_sizes(input_size=input_size)
    sizes = [input_size]
    for hidden_size in list(hidden_sizes)[:-1]:
        sizes.append(sizes[-1] + hidden_size if connection == "dense" else hidden_size)
    return sizes


@cached
def stacked(
    cells: Sequence[Cell], connection: str = "plain", *, dropout_rate: float = 0.0, dropout_kind: str = "elementwise"
) -> Cell:
    """Cells on top of each other, as one cell; its carry is the tuple of theirs.

    Args:
        cells: the layers, the lowest first.
        connection: "plain", "residual", "highway" or "dense"; see the module.
        dropout_rate: the share dropped of what a layer hands to the next, only when `unroll` is given a key.
        dropout_kind: "elementwise", or "locked" in time.

    Returns:
        The stack.

    Raises:
        UserError: the sizes of neighbouring layers do not fit the connection, or a setting is out of its range.
    """
    rates = Dropout(dropout_rate, dropout_kind)
    _check(cells, connection)
    skips = [connection in ("residual", "highway") and c.input_size == c.output_size for c in cells]

    def init(key):
        keys = jax.random.split(key, 2 * len(cells))
        gates = [
            init_gate(k, cell.output_size) if skip and connection == "highway" else None
            for k, cell, skip in zip(keys[len(cells) :], cells, skips, strict=True)
        ]
        return StackParams(tuple(c.init(k) for c, k in zip(cells, keys, strict=False)), tuple(gates))

    def initial_carry(params, batch_shape):
        return tuple(c.initial_carry(p, batch_shape) for c, p in zip(cells, params.cells, strict=True))

    def through_layers(params, carry, x, apply_cell, drop):
        carries, u, y = [], x, x
        for layer, skip in enumerate(skips):
            if layer > 0:
                handed = drop(layer, y)
                u = jnp.concatenate([u, handed], axis=-1) if connection == "dense" else handed
            new, y = apply_cell(layer, params.cells[layer], carry[layer], u)
            carries.append(new)
            y = connect(params.gates[layer], u, y) if skip else y
        return tuple(carries), y

    def step(params, carry, x):
        return through_layers(params, carry, x, lambda k, p, c, u: cells[k].step(p, c, u), lambda k, y: y)

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        keys = [None] * (2 * len(cells)) if key is None else list(jax.random.split(key, 2 * len(cells)))

        def apply_cell(layer, p, c, us):
            return cells[layer].unroll(p, c, us, mask=mask, reset=reset, key=keys[layer])

        def drop(layer, ys):
            return dropout(keys[len(cells) + layer], rates.layer_rate, ys, rates.kind)

        return through_layers(params, carry, xs, apply_cell, drop)

    sizes = cells[0].input_size, cells[-1].output_size
    return Cell(init, initial_carry, step, unroll, *sizes, _observer(cells, through_layers))


def _observer(cells, through_layers):
    """Returns the stack's `observe`; None if a layer has none."""
    if any(cell.observe is None for cell in cells):
        return None

    def observe(params, carry, x):
        layers = []

        def apply_cell(layer, p, c, u):
            layers.extend(cells[layer].observe(p, c, u))
            return cells[layer].step(p, c, u)

        through_layers(params, carry, x, apply_cell, lambda k, y: y)
        return tuple(layers)

    return observe


def connect(gate: HighwayParams | None, u: Float[Array, "*B H"], y: Float[Array, "*B H"]) -> Float[Array, "*B H"]:
    """Joins the input of a layer with its output: their sum, or by a highway gate.

    Args:
        gate: Parameters of the highway gate t; None for a sum.
        u: The input of the layer.
        y: Its output.

    Returns:
        u + y, or t y + (1 - t) u, [*B, H].
    """
    if gate is None:
        return u + y
    t = jax.nn.sigmoid(product(u, gate.w_t) + gate.b_t)
    return t * y + (1 - t) * u


def init_gate(key: Key, size: int) -> HighwayParams:
    """Makes a gate that begins near the identity."""
    w_t = jax.nn.initializers.lecun_normal()(key, (size, size), jnp.float32)
    return HighwayParams(w_t=w_t, b_t=jnp.full((size,), -1.0, jnp.float32))


def _check(cells, connection):
    if not cells:
        raise UserError("a stack needs at least one cell, got none")
    for layer, cell in enumerate(cells):
        if not isinstance(cell, Cell):
            raise UserError(
                "a stack is made of cells, which read from left to right (encoders, which may look right: "
                f"stacked_encoder), got {type(cell).__name__} as layer {layer}"
            )
    check_connection(connection, [(cell.input_size, cell.output_size) for cell in cells])


def check_connection(connection: str, sizes: Sequence[tuple[int, int]]) -> None:
    """Raises UserError where layers of these sizes (input, output), the lowest first, do not fit on each other."""
    if connection not in CONNECTIONS:
        raise UserError(f"connection must be one of {', '.join(CONNECTIONS)}, got {connection!r}", ["connection"])
    expected = input_sizes(connection, sizes[0][0], [output_size for _, output_size in sizes])
    for layer, ((input_size, output_size), size) in enumerate(zip(sizes, expected, strict=True)):
        if input_size != size:
            raise UserError(
                f"layer {layer} of a stack with {connection} connections must have input_size {size}, got {input_size}"
            )
        if connection in ("residual", "highway") and layer > 0 and output_size != size:
            raise UserError(
                f"layer {layer} with a {connection} connection must have output_size {size} (its input_size), "
                f"got {output_size}"
            )
