"""The contract of a recurrent cell, and the plain `scan` that every faster unroll must equal.

A cell is a NamedTuple of pure functions. Its laws (tests/cells/test_laws.py runs them over every cell):

1. Axis 0 is time, then batch, features last.
2. Every leaf of a carry begins with the batch axes; `step` accepts any number of them.
3. `unroll` equals `scan(step)`, and `unroll(a ++ b)` equals `unroll(a)` then `unroll(b)`.
4. A step with `mask=False` leaves the carry untouched. Before a step with `reset=True` the carry is replaced
   by the initial carry (a masked step is not reset).
5. Randomness only in `unroll`, only when a `key` is given; no key means evaluation.
6. A later input changes no earlier output.

A cell may also have `observe`, which shows the inside of its step: (params, carry, x) -> one `Observed` a layer, of
the step that reads x from this carry, computed as the step computes it. A stack has no `observe` if a layer has none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lm_jax.cells.varying import same_axes, wide
from lm_jax.types import Carry, Key, Mask, Params


class InitFn(Protocol):
    """Draws parameters."""

    def __call__(self, key: Key) -> Params: ...


class InitialCarryFn(Protocol):
    """The carry before the first step; every leaf begins with `batch_shape`."""

    def __call__(self, params: Params, batch_shape: tuple[int, ...]) -> Carry: ...


class StepFn(Protocol):
    """One step in time: x [*B, E] to y [*B, H]."""

    def __call__(self, params: Params, carry: Carry, x: Float[Array, "*B E"]) -> tuple[Carry, Float[Array, "*B H"]]: ...


class UnrollFn(Protocol):
    """All steps: xs [T, *B, E] to ys [T, *B, H], and the last carry."""

    def __call__(
        self,
        params: Params,
        carry: Carry,
        xs: Float[Array, "T *B E"],
        *,
        mask: Mask | None = None,
        reset: Mask | None = None,
        key: Key | None = None,
    ) -> tuple[Carry, Float[Array, "T *B H"]]: ...


class Observed(NamedTuple):
    """The inside of one layer's step.

    gates: by name, values from 0 to 1 [*B, H]: for the LSTM input, forget, output; for the GRU reset, update (1 keeps
        the state); none for the simple network.
    matrices: by name, the recurrent matrices [H, H], applied as h W: one a gate, and "candidate" where it is for the
        new content; "h" of the simple network.
    saturation: [*B, H], the share of a unit's nonlinearities that are saturated (lm_jax/cells/saturation.py); None
        where a cell does not say.
    """

    gates: dict[str, Float[Array, "*B H"]]
    matrices: dict[str, Float[Array, "H H"]]
    saturation: Float[Array, "*B H"] | None = None


class ObserveFn(Protocol):
    """The inside of a step, a record for each layer, the lowest first."""

    def __call__(self, params: Params, carry: Carry, x: Float[Array, "*B E"]) -> tuple[Observed, ...]: ...


class Cell(NamedTuple):
    """A recurrent cell: pure functions and two sizes."""

    init: InitFn
    initial_carry: InitialCarryFn
    step: StepFn
    unroll: UnrollFn
    input_size: int
    output_size: int
    observe: ObserveFn | None = None


def select(condition: Array, on_true: Any, on_false: Any) -> Any:
    """Leaf by leaf `where(condition, on_true, on_false)`, the condition [*B] against leaves [*B, ...].

    Args:
        condition: Bool [*B].
        on_true: A pytree whose leaves are [*B, ...].
        on_false: A pytree of the same structure and shapes.
    """

    def leaf(a, b):
        return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - condition.ndim)), a, b)

    return jax.tree.map(leaf, on_true, on_false)


def masked_scan(
    recur: Callable[[Carry, Any], tuple[Carry, Any]],
    initial: Carry,
    carry: Carry,
    inputs: Any,
    mask: Mask | None,
    reset: Mask | None,
    scan: Callable[..., tuple[Carry, Any]] | None = None,
) -> tuple[Carry, Any]:
    """Scans a recurrence over time, with masked steps and resets as law 4 has them.

    Args:
        recur: (carry, x) -> (carry, y), one step.
        initial: the carry that a reset goes back to.
        carry: the carry before the first step.
        inputs: a pytree of arrays with time on axis 0.
        mask: [T, *B]; False leaves the carry untouched.
        reset: [T, *B]; True replaces the carry by `initial` before the step.
        scan: a loop with the arguments of `lax.scan`; None for that one.

    Returns:
        The last carry, and the outputs of all steps.
    """

    def body(carry, slices):
        x, keep, restart = slices
        start = carry if restart is None else select(restart, initial, carry)
        new, y = recur(start, x)
        return (new if keep is None else select(keep, new, carry)), y

    return (scan or jax.lax.scan)(body, carry, (inputs, mask, reset))


def scan_unroll(initial_carry: InitialCarryFn, step: StepFn) -> UnrollFn:
    """Returns the plain unroll of any step function: the definition that faster unrolls are tested against."""

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        del key  # a step is deterministic
        initial = None if reset is None else initial_carry(params, xs.shape[1:-1])
        params, *operands = same_axes(params, initial, carry, xs, mask, reset)
        return masked_scan(lambda c, x: step(params, c, x), *operands)

    return unroll


def hoisted_cell(
    init: InitFn,
    initial_carry: InitialCarryFn,
    project: Callable[[Params, Array], Any],
    recurrent_weights: Callable[[Params], Any],
    recur: Callable[[Any, Carry, Any], tuple[Carry, Array]],
    input_size: int,
    output_size: int,
    observe_step: Callable[[Params, Any, Carry, Any], Observed] | None = None,
) -> Cell:
    """Makes a cell whose dependence on the input is one product: it leaves the loop, and so do casts of the weights.

    Args:
        init: key -> params.
        initial_carry: (params, batch_shape) -> the carry before the first step.
        project: (params, xs [..., E]) -> z, the input's share of the pre-activations, for any leading axes.
        recurrent_weights: params -> whatever the loop needs, cast and arranged once.
        recur: (weights, carry, z of one step) -> (carry, y).
        input_size: E.
        output_size: H.
        observe_step: (params, weights, carry, z of one step) -> the inside of the step; None for a cell without.

    Returns:
        The cell, its unroll a plain scan.
    """

    def step(params, carry, x):
        return recur(recurrent_weights(params), carry, project(params, x))

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        del key
        initial = None if reset is None else initial_carry(params, xs.shape[1:-1])
        params, initial, carry, xs, mask, reset = same_axes(params, initial, wide(carry), xs, mask, reset)
        weights = recurrent_weights(params)
        return masked_scan(lambda c, z: recur(weights, c, z), initial, carry, project(params, xs), mask, reset)

    cell = Cell(init, initial_carry, step, unroll, input_size, output_size)
    if observe_step is None:
        return cell

    def observe(params, carry, x):
        return (observe_step(params, recurrent_weights(params), carry, project(params, x)),)

    return cell._replace(observe=observe)
