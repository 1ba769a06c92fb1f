"""The memory of a linear recurrence in closed form: the gradient profile of an LRU is that of its eigenvalues."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import analysis, cells
from lm_jax.cells.lru import eigenvalues
from lm_jax.models import recurrent_lm


V, E, T, B = 5, 4, 14, 3
TOKENS = np.random.default_rng(0).integers(V, size=(T + 1, B), dtype=np.int32)


def in_double(model):
    generator = np.random.default_rng(1)
    drawn = model.init(jax.random.key(0))
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a) + 0.1 * generator.normal(size=a.shape)), drawn)


def expected_flow(cell_params, pulled):
    """log G [B, T, T]: pulled [T, B, N] is the complex number q_i by which J_i changes with the state after step i.

    J_i changes by Re(lambda^l q_i ds) with the state l steps before, so that G = sqrt(sum_n |lambda_n|^2l |q_i,n|^2).
    """
    radius, pulled = np.abs(np.asarray(eigenvalues(cell_params))), np.abs(np.asarray(pulled))
    result = np.full((B, T, T), -np.inf)
    for i in range(T):
        for j in range(i):
            result[:, i, j] = 0.5 * np.log(np.sum((radius ** (i - j) * pulled[i]) ** 2, axis=-1))
    return result


def lower_median(values):
    return np.sort(values)[(len(values) + 1) // 2 - 1]


def test_the_profile_of_an_lru_is_that_of_its_eigenvalues(x64):
    model = recurrent_lm(V, cells.lru(E, 6), dropout_rate=0.0)
    params = in_double(model)
    cell, opened = params.cell, model.opened
    _, ys, _ = opened.hidden(params, model.initial_carry(params, (B,)), jnp.asarray(TOKENS[:-1]))
    g = jax.grad(lambda ys: -jnp.sum(opened.log_probs(params, ys, jnp.asarray(TOKENS[1:]))))(ys)
    pulled = np.asarray(g) @ np.asarray(cell.c_re + 1j * cell.c_im).T
    expected = expected_flow(cell, pulled)

    flow = analysis.gradient_flow(model, params, TOKENS)
    past = np.tril(np.ones((T, T), bool), -1)
    np.testing.assert_allclose(np.exp(flow.carry[0]["all"][:, past]), np.exp(expected[:, past]), rtol=1e-10)
    found = analysis.lag_profile(flow, leaf="all").log_median
    for lag in range(1, T):
        i = np.arange(lag, T)
        ratios = (expected[:, i, i - lag] - expected[:, i, i - 1]).ravel()
        assert found[lag - 1] == pytest.approx(lower_median(ratios), abs=1e-10)


def test_above_others_too_what_lies_between_does_not_change_the_fall(x64):
    """In the top of two residual blocks the way back through time is the eigenvalues' alone."""
    stack = cells.stacked([cells.block(cells.lru(E, E)) for _ in range(2)])
    model = recurrent_lm(V, stack, dropout_rate=0.0)
    params = in_double(model)
    flow = analysis.gradient_flow(model, params, TOKENS)
    norms = flow.carry[1]
    lambdas = np.asarray(eigenvalues(params.cell.cells[1].cell))

    def adjoint(b, i):
        """dJ_i by the state that step i was given, [N], by autodiff of that step alone."""
        carry = model.initial_carry(params, ())
        for token in TOKENS[:i, b]:
            carry, _ = model.step(params, carry, token)

        def loss(top):
            logits = model.step(params, (carry[0], top), TOKENS[i, b])[1]
            return -jax.nn.log_softmax(logits)[TOKENS[i + 1, b]]

        gradient = jax.grad(loss)(carry[1])
        return np.asarray(gradient.re) - 1j * np.asarray(gradient.im)

    for b, i in ((0, T - 1), (2, 8)):
        q = adjoint(b, i)
        for lag in range(1, i + 1):
            expected = np.sqrt(np.sum(np.abs(lambdas ** (lag - 1) * q) ** 2))
            assert np.exp(norms["all"][b, i, i - lag]) == pytest.approx(expected, rel=1e-10)
