"""The layers of a carry and the names of their leaves, as every instrument calls them."""

import jax
import jax.numpy as jnp

from lm_jax.cells.compose import StackParams
from lm_jax.errors import UserError
from lm_jax.types import Carry, Params


ALL = "all"  # the leaves of a layer together


def leaf_places(carry: Carry, cell_params: Params, what: str) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Of each layer, (name, place in the flattened carry) of the leaves that have a derivative.

    The layers of a stack are the entries of its carry; any other cell is one layer. A carry that is one array is "h".
    Raises UserError for a layer without real numbers, or a leaf that has the name of all.
    """
    stacked = isinstance(cell_params, StackParams)
    layers = [[] for _ in range(len(carry) if stacked else 1)]
    for place, (path, leaf) in enumerate(jax.tree_util.tree_flatten_with_path(carry)[0]):
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            layer, inside = (path[0].idx, path[1:]) if stacked else (0, path)
            layers[layer].append((jax.tree_util.keystr(inside, simple=True, separator=".") or "h", place))
    if not all(layers):
        raise UserError(f"{what} needs a carry of real numbers in every layer, got {jax.tree.structure(carry)}")
    if any(name == ALL for names in layers for name, _ in names):
        raise UserError(f"{ALL!r} is the name of the whole carry, got a carry with a leaf of that name")
    return tuple(tuple(names) for names in layers)
