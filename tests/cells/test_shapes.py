"""The annotations of a cell's functions and records, executed over the catalogue."""

import jax
import numpy as np
import pytest

from lm_jax.cells import LSTMCarry, LSTMParams, base, lstm
from tests import catalogue
from tests.cases import MASK, RESET, B, make_case
from tests.shapes import as_arrays, call_checked, check_records


@pytest.mark.parametrize("name", catalogue.CELLS)
def test_annotations_of_a_cell_hold(name):
    case = make_case(catalogue.CELLS[name])
    cell, (params, carry, xs, mask, reset) = case.subject, as_arrays((*case[1:4], MASK, RESET))
    drawn = call_checked(base.InitFn, cell.init, jax.random.key(0))
    call_checked(base.InitialCarryFn, cell.initial_carry, params, (B,))

    def calls(params, carry, xs, mask, reset, key):
        call_checked(base.StepFn, cell.step, params, carry, xs[0])
        call_checked(base.UnrollFn, cell.unroll, params, carry, xs, mask=mask, reset=reset, key=key)

    jax.eval_shape(calls, params, carry, xs, mask, reset, jax.random.key(1))  # shapes need no compiler
    if cell.observe is not None:
        assert check_records(call_checked(base.ObserveFn, cell.observe, params, carry, xs[0])) >= 3
    assert check_records(as_arrays(drawn)) or "running_mean" in name
    check_records(carry)


def test_a_wrong_shape_is_noticed():
    """In a result, in an argument and in a record."""
    cell = lstm(3, 4)
    params = cell.init(jax.random.key(0))
    carry, xs = cell.initial_carry(params, (2,)), as_arrays(np.zeros((5, 2, 3), np.float32))
    with pytest.raises(AssertionError, match="StepFn must return"):
        call_checked(base.StepFn, lambda params, carry, x: (carry, x[:1]), params, carry, xs[0])
    with pytest.raises(AssertionError, match="xs must be"):
        call_checked(base.UnrollFn, cell.unroll, params, carry, xs.astype(int))
    with pytest.raises(AssertionError, match=r"LSTMParams.b must be"):
        check_records(LSTMParams(params.w_x, params.w_h, params.b[:-1]))
    with pytest.raises(AssertionError, match=r"LSTMCarry.c must be"):
        check_records(LSTMCarry(carry.h, carry.c[:1]))
