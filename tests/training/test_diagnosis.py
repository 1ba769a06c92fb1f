"""Rows of a batch whose loss or gradient is no number: the data's share of a report."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.training.diagnosis import find_by_row
from tests.training.test_recovery import BAD_TOKEN, MODEL, epoch, loss_times, source


STEP = 2


@pytest.mark.parametrize(
    ("factor", "tensor"),
    [
        (jnp.nan, r"loss"),
        (jnp.inf, r"loss"),
        (1e25, "norm of the gradient, whose largest entry"),
    ],
)
def test_the_row_of_a_bad_token_is_named(factor, tensor):
    streams, row = epoch(), 3
    streams = streams._replace(tokens=streams.tokens.at[6 * STEP + 3, row].set(BAD_TOKEN))
    params = MODEL.init(jax.random.key(0))
    carry = MODEL.initial_carry(params, (4,))
    carry, batch = source().batch(params, streams, carry, jnp.asarray(6 * STEP), 6)
    found = find_by_row(loss_times(factor), params, carry, batch, jax.random.key(1))
    assert found.row == row and found.tensor.startswith(tensor) and not np.isfinite(found.value)
    clean = source().batch(params, epoch(), carry, jnp.asarray(6 * STEP), 6)[1]
    assert find_by_row(loss_times(factor), params, carry, clean, jax.random.key(1)) is None
