"""A text along a recurrent model, as every instrument opens it: arguments, the forward pass, one step, derivatives.

open_text       the arguments of an instrument, checked: a recurrent model, ids of its vocabulary, a carry that fits
forward_pass    what the cell reads, holds and gives at every step
leaf_places     the layers of a carry, the leaves that have a derivative, and their names
step_from       one step as a function of some leaves of the carry
push_forward    the derivative of a function along directions
precision       float64, where rounding would be seen
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lm_jax.analysis.checks import check_opened, checked_carry, inputs_and_targets
from lm_jax.cells.stack import StackParams
from lm_jax.errors import UserError
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.types import Carry, Params, TextIds, Tokens


ALL = "all"  # all leaves of a layer, as one


class OpenedText(NamedTuple):
    """A text under a recurrent model: the opened model, parameters, ids, and the carry before the first step."""

    opened: Opened
    params: Params
    inputs: Int[np.ndarray, "T B"]
    targets: Int[np.ndarray, "T B"]
    carry: Carry


def open_text(
    model: LanguageModel,
    params: Params,
    tokens: TextIds,
    targets: TextIds | None = None,
    carry: Carry | None = None,
    *,
    double: bool = False,
) -> OpenedText:
    """Checks the arguments that instruments have in common.

    Args:
        model: a model with a recurrent network.
        params: its parameters.
        tokens: ids [T+1, B], or [T+1] of one text: each is predicted from those before it, but the first. With
            `targets`, the inputs [T, B].
        targets: ids [T, B]; targets[i] is predicted after tokens[i].
        carry: before the first step; the initial one by default.
        double: real numbers become float64; to be called inside `precision`.

    Returns:
        The text, its ids as int32 [T, B].

    Raises:
        UserError: a model without a recurrent network, fewer than two predictions, shapes that do not fit, or ids that
            are not in the vocabulary.
    """
    opened = check_opened(model)
    inputs, outputs = inputs_and_targets(tokens, targets, model.vocab_size)
    params, carry = in_precision((params, carry), double)
    initial = in_precision(model.initial_carry(params, inputs.shape[1:]), double)
    return OpenedText(opened, params, inputs, outputs, checked_carry(carry, initial))


def forward_pass(
    opened: Opened, params: Params, carry: Carry, inputs: Tokens
) -> tuple[Float[Array, "T B E"], Carry, Float[Array, "T B H"]]:
    """Runs a recurrent language model over a text and keeps what the instruments read.

    Args:
        opened: The parts of the model.
        params: Its parameters.
        carry: The carry before the first step, leaves [B, ...].
        inputs: Ids [T, B].

    Returns:
        The embedded inputs, the carry before each step (leaves [T, B, ...]), and the outputs of the top layer.
    """
    xs = opened.embed(params, inputs)

    def forward(carry, x):
        after, y = opened.cell.step(params.cell, carry, x)
        return after, (carry, y)

    _, (carries, ys) = jax.lax.scan(forward, carry, xs)
    return xs, carries, ys


def step_from(
    step: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, places: Sequence[int]
) -> tuple[Callable[[list[Array], Any], tuple[list[Array], Any]], list[Array]]:
    """Makes one step a function of the leaves of the carry at `places`; the others are held.

    Args:
        step: (carry, x) -> (the carry after, y).
        carry: before the step.
        places: of leaves, in the flattened carry.

    Returns:
        The function (values of these leaves, x) -> (all leaves after the step, y), and the values in `carry`.
    """
    leaves, tree = jax.tree.flatten(carry)

    def step_of_values(values, x):
        replaced = list(leaves)
        for place, value in zip(places, values, strict=True):
            replaced[place] = value
        after, y = step(jax.tree.unflatten(tree, replaced), x)
        return jax.tree.leaves(after), y

    return step_of_values, [leaves[place] for place in places]


def push_forward(function: Callable[[Any], tuple[Any, Any]], at: Any) -> tuple[Callable[[Any], Any], Any]:
    """(push, aux) of a function that gives (out, aux): push takes a direction at the argument to the change of out.

    By reverse mode alone, the transpose of the transpose (Townsend 2017): a user's step may be a `custom_vjp`, which
    has no other.
    Directions and changes are trees like the argument and the output; `jax.vmap(push)` takes many at once.
    """
    out, pull, aux = jax.vjp(function, at, has_aux=True)
    transposed = jax.linear_transpose(pull, out)
    return lambda direction: transposed((direction,))[0], aux


def real_leaves(carry: Carry) -> tuple[int, ...]:
    """Returns the places, in the flattened carry, of the leaves that have a derivative;
    whole numbers and flags have none.

    Raises UserError if no leaf has one, or for complex numbers: held, they would hide the gradient that goes through.
    """
    types = [jnp.result_type(leaf) for leaf in jax.tree.leaves(carry)]
    places = tuple(place for place, dtype in enumerate(types) if jnp.issubdtype(dtype, jnp.floating))
    if not places or any(jnp.issubdtype(dtype, jnp.complexfloating) for dtype in types):
        dtypes = ", ".join(map(str, types)) or "an empty one"
        raise UserError(f"this analysis needs a carry of real numbers, got {dtypes}")
    return places


def leaf_places(carry: Carry, cell_params: Params) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Returns for each layer (name, place in the flattened carry) of the leaves that have a derivative.

    The layers of a stack are the entries of its carry; any other cell is one layer. A carry that is one array is "h".
    Raises UserError for a layer without real numbers, complex ones, or a leaf that has the name of all.
    """
    stacked, real = isinstance(cell_params, StackParams), real_leaves(carry)
    layers = [[] for _ in range(len(carry) if stacked else 1)]
    for place, (path, _) in enumerate(jax.tree_util.tree_flatten_with_path(carry)[0]):
        if place in real:
            layer, inside = (path[0].idx, path[1:]) if stacked else (0, path)
            layers[layer].append((jax.tree_util.keystr(inside, simple=True, separator=".") or "h", place))
    if not all(layers):
        raise UserError(
            f"this analysis needs a carry of real numbers in every layer, got none in layer {layers.index([])}"
        )
    if any(name == ALL for names in layers for name, _ in names):
        raise UserError(f"{ALL!r} is the name of the whole carry, got a carry with a leaf of that name")
    return tuple(tuple(names) for names in layers)


def main_leaf(names: Iterable[str]) -> str:
    """Returns the leaf that speaks for a layer: the output state h, else all leaves together, else the only one."""
    names = tuple(names)
    return next((name for name in ("h", ALL) if name in names), names[0])


def precision(double: bool) -> AbstractContextManager:
    """Makes a context in which JAX has 64-bit numbers if `double`; otherwise nothing changes."""
    if not double:
        return contextlib.nullcontext()
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # before JAX 0.8

    return enable_x64(True)


def in_precision(tree: Any, double: bool) -> Any:
    """Returns the tree with its real numbers as float64 if `double`; to be called inside the context."""

    def leaf(a):
        return jnp.asarray(np.asarray(a), np.float64) if jnp.issubdtype(jnp.result_type(a), jnp.floating) else a

    return jax.tree.map(leaf, tree) if double else tree
