"""The layers of a carry, the leaves that have a derivative, and their names, as every instrument calls them."""

import jax
import jax.numpy as jnp

from lm_jax.cells.stack import StackParams
from lm_jax.errors import UserError
from lm_jax.types import Carry, Params


ALL = "all"  # the leaves of a layer together


def real_leaves(carry: Carry, what: str) -> tuple[int, ...]:
    """The places, in the flattened carry, of the leaves that have a derivative; whole numbers and flags have none.

    Raises UserError if no leaf has one, or for complex numbers: held, they would hide the gradient that goes through.
    """
    types = [jnp.result_type(leaf) for leaf in jax.tree.leaves(carry)]
    places = tuple(place for place, dtype in enumerate(types) if jnp.issubdtype(dtype, jnp.floating))
    if not places or any(jnp.issubdtype(dtype, jnp.complexfloating) for dtype in types):
        raise UserError(f"{what} needs a carry of real numbers, got {', '.join(map(str, types)) or 'an empty one'}")
    return places


def leaf_places(carry: Carry, cell_params: Params, what: str) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Of each layer, (name, place in the flattened carry) of the leaves that have a derivative.

    The layers of a stack are the entries of its carry; any other cell is one layer. A carry that is one array is "h".
    Raises UserError for a layer without real numbers, complex ones, or a leaf that has the name of all.
    """
    stacked, real = isinstance(cell_params, StackParams), real_leaves(carry, what)
    layers = [[] for _ in range(len(carry) if stacked else 1)]
    for place, (path, _) in enumerate(jax.tree_util.tree_flatten_with_path(carry)[0]):
        if place in real:
            layer, inside = (path[0].idx, path[1:]) if stacked else (0, path)
            layers[layer].append((jax.tree_util.keystr(inside, simple=True, separator=".") or "h", place))
    if not all(layers):
        raise UserError(f"{what} needs a carry of real numbers in every layer, got none in layer {layers.index([])}")
    if any(name == ALL for names in layers for name, _ in names):
        raise UserError(f"{ALL!r} is the name of the whole carry, got a carry with a leaf of that name")
    return tuple(tuple(names) for names in layers)
