"""Stateless layers against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.layers import dropout, product, row_dropout, target_log_probs


GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(50, 8, 16)).astype(np.float32)
KEY = jax.random.key(0)


@pytest.mark.parametrize("kind", ["elementwise", "locked"])
def test_dropout_without_key_or_rate_is_the_identity(kind):
    assert dropout(None, 0.5, X, kind) is X
    assert dropout(KEY, 0.0, X, kind) is X


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_zeroes_a_share_and_scales_the_rest(rate):
    """Of 6,400 entries the dropped share has a standard error below 0.0063; 4 of them are 0.025."""
    dropped = np.asarray(dropout(KEY, rate, X))
    np.testing.assert_allclose(dropped[dropped != 0], (X / (1 - rate))[dropped != 0], rtol=1e-6)
    assert np.mean(dropped == 0) == pytest.approx(rate, abs=0.025)


def test_locked_masks_are_constant_along_time_only():
    absent = np.asarray(dropout(KEY, 0.5, X, "locked")) == 0
    assert np.all(absent == absent[:1])
    assert len(np.unique(absent[0], axis=0)) == 8
    absent = np.asarray(dropout(KEY, 0.5, X, "elementwise")) == 0
    assert len(np.unique(absent.reshape(50, -1), axis=0)) == 50


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropout_keeps_the_type(dtype):
    assert dropout(KEY, 0.5, jnp.asarray(X, dtype)).dtype == dtype


def test_row_dropout_takes_whole_rows():
    table = np.ones((400, 6), np.float32)
    dropped = np.asarray(row_dropout(KEY, 0.25, table))
    assert np.all(dropped == dropped[:, :1])
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    assert np.mean(dropped == 0) == pytest.approx(0.25, abs=0.09)  # 4 standard errors of 400 draws
    assert row_dropout(None, 0.25, table) is table and row_dropout(KEY, 0.0, table) is table


def test_an_unknown_dropout_is_named():
    with pytest.raises(UserError, match="one of elementwise, locked, got 'bound'"):
        dropout(KEY, 0.5, X, "bound")


@pytest.mark.parametrize("shift", [0.0, 1e4], ids=["near_zero", "large_logits"])
def test_target_log_probs_gathers_the_log_softmax(shift):
    """Large logits must not overflow; float32 holds 1e4 to 1e-3 only."""
    logits = GENERATOR.normal(size=(5, 3, 7)).astype(np.float32) + np.float32(shift)
    targets = GENERATOR.integers(7, size=(5, 3))
    exact = logits.astype(np.float64)
    expected = exact - np.log(np.exp(exact - exact.max()).sum(-1, keepdims=True)) - exact.max()
    actual = target_log_probs(jnp.asarray(logits), jnp.asarray(targets))
    np.testing.assert_allclose(
        actual, np.take_along_axis(expected, targets[..., None], -1)[..., 0], atol=1e-5 + 2e-7 * shift
    )


def test_gradient_of_target_log_probs_is_the_target_less_the_softmax():
    logits, targets = GENERATOR.normal(size=(4, 7)).astype(np.float32), np.array([0, 6, 3, 3])
    gradient = jax.grad(lambda logits: target_log_probs(logits, targets).sum())(logits)
    np.testing.assert_allclose(gradient, np.eye(7)[targets] - jax.nn.softmax(logits), atol=1e-6)


@pytest.mark.parametrize(("weights", "result"), [("float32", "float32"), ("bfloat16", "float32")])
def test_product_rounds_operands_and_accumulates_in_float32(weights, result):
    w = GENERATOR.normal(size=(16, 5)).astype(np.float32)
    actual = product(X, jnp.asarray(w, weights))
    assert actual.dtype == result
    rounded_x, rounded_w = (np.asarray(jnp.asarray(a, weights), np.float64) for a in (X, w))
    np.testing.assert_allclose(actual, rounded_x @ rounded_w, atol=2e-5)


@pytest.mark.parametrize("tied", [False, True])
def test_gradient_of_a_product_by_its_weights_copies_no_array_of_the_size_of_its_result(tied):
    """XLA:CPU does so for a product with three axes: of the logits that is a copy of the largest array of a step."""

    def loss(x, w):
        return jnp.sum(jnp.sin(product(x, w.T if tied else w)))

    shape = (1000, 24) if tied else (24, 1000)
    gradient = jax.jit(jax.grad(loss, (0, 1)))
    program = gradient.lower(jnp.ones((7, 5, 24)), jnp.ones(shape)).compile().as_text()
    assert "f32[35,1000]" in program  # the result itself
    assert "f32[1000,35]" not in program and "f32[1000,7,5]" not in program
