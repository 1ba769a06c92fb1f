"""The derivative of a function along directions, for any function that has a gradient."""

from collections.abc import Callable
from typing import Any

import jax


def push_forward(function: Callable[[Any], tuple[Any, Any]], at: Any) -> tuple[Callable[[Any], Any], Any]:
    """(push, aux) of a function that gives (out, aux): push takes a direction at the argument to the change of out.

    By reverse mode alone, the transpose of the transpose (Townsend 2017): a user's step may be a `custom_vjp`, which
    has no other.
    Directions and changes are trees like the argument and the output; `jax.vmap(push)` takes many at once.
    """
    out, pull, aux = jax.vjp(function, at, has_aux=True)
    transposed = jax.linear_transpose(pull, out)
    return lambda direction: transposed((direction,))[0], aux
