"""Cells that are linear in their state: what the step multiplies and adds depends on the input alone.

    a_t, b_t = terms(x_t)        h_t = a_t * h_{t-1} + b_t        y_t = readout(h_t, x_t)

All products with weights leave the loop, and the loop itself can be a parallel prefix (engines/associative.py).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array

from lm_jax.cells.base import Cell, InitFn, InitialCarryFn, Observed, masked_scan
from lm_jax.cells.engines.associative import linear_recurrence
from lm_jax.cells.engines.from_length import is_faster
from lm_jax.cells.varying import same_axes, wide
from lm_jax.errors import one_of
from lm_jax.types import Carry, Params


class Terms(NamedTuple):
    """What a step needs, with any leading axes: a and b [..., N], and what the readout is given besides the state."""

    decay: Array
    inputs: Array
    beside: Any = None


def linear_cell(
    init: InitFn,
    initial_carry: InitialCarryFn,
    terms: Callable[[Params, Array], Terms],
    input_size: int,
    output_size: int,
    *,
    readout: Callable[[Params, Array, Any], Array] = lambda params, states, beside: states,
    recurrence: str = "auto",
    to_state: Callable[[Carry], Array] = lambda carry: carry,
    to_carry: Callable[[Array], Carry] = lambda state: state,
    observe_step: Callable[[Params, Array], Observed] | None = None,
) -> Cell:
    """Makes a cell that is linear in its state.

    Args:
        init: key -> params.
        initial_carry: (params, batch_shape) -> the carry before the first step.
        terms: (params, xs [..., E]) -> a, b and what the readout needs, for any leading axes.
        input_size: E.
        output_size: H.
        readout: (params, states [..., N], what terms gave beside) -> ys [..., H]; default: the states.
        recurrence: "scan", the loop; "associative", the parallel prefix; "auto", by device and length
            (engines/from_length.py).
        to_state: The carry as one array [*B, N], real or complex.
        to_carry: The inverse.
        observe_step: (params, x) -> the inside of a step; None for a cell without gates.

    Returns:
        The cell.

    Raises:
        UserError: For an unknown recurrence.
    """

    def step(params, carry, x):
        decay, inputs, beside = terms(params, x)
        state = decay * to_state(carry) + inputs
        return to_carry(state), readout(params, state, beside)

    def scan(params, carry, xs, *, mask=None, reset=None, key=None):
        del key
        initial = None if reset is None else initial_carry(params, xs.shape[1:-1])
        params, initial, carry, xs, mask, reset = same_axes(params, initial, wide(carry), xs, mask, reset)
        decay, inputs, beside = terms(params, xs)

        def recur(carry, slices):
            state = slices[0] * to_state(carry) + slices[1]
            return to_carry(state), state

        last, states = masked_scan(recur, initial, carry, (decay, inputs), mask, reset)
        return last, readout(params, states, beside)

    def associative(params, carry, xs, *, mask=None, reset=None, key=None):
        del key
        carry, initial = wide(carry), to_state(initial_carry(params, xs.shape[1:-1]))
        decay, inputs, beside = terms(params, xs)
        states = linear_recurrence(decay, inputs, to_state(carry), initial, mask, reset)
        return (to_carry(states[-1]) if len(states) else carry), readout(params, states, beside)

    def auto(params, carry, xs, **switches):
        return (associative if is_faster("associative", len(xs)) else scan)(params, carry, xs, **switches)

    engines = {"auto": auto, "scan": scan, "associative": associative}
    cell = Cell(init, initial_carry, step, one_of("recurrence", recurrence, engines), input_size, output_size)
    if observe_step is None:
        return cell
    return cell._replace(observe=lambda params, carry, x: (observe_step(params, x),))
