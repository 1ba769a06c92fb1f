"""Every instrument on a cell as a user may write one: odd carries, reverse mode alone, no `observe`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError, analysis
from lm_jax.cells import Cell, scan_unroll
from lm_jax.models import recurrent_lm


V, H, T, B = 5, 3, 6, 2
TOKENS = np.random.default_rng(0).integers(V, size=(T + 1, B))
TRACED = []


@jax.custom_vjp
def squash(a):
    """Tanh without a forward mode."""
    return jnp.tanh(a)


squash.defvjp(lambda a: (jnp.tanh(a), a), lambda a, g: (g * (1 - jnp.tanh(a) ** 2),))


def initial_carry(params, batch_shape):
    """A tuple in a dict, a number a row, and a whole number a row."""
    return {"pair": (jnp.zeros((*batch_shape, H)), jnp.zeros(batch_shape)), "steps": jnp.zeros(batch_shape, jnp.int32)}


def step(params, carry, x):
    """h' = squash(w (x + h) + s), s' = s/2 + h'_0 sign, the sign that of an even or an odd step."""
    TRACED.append(None)
    h, s = carry["pair"]
    h = squash(params["w"] * (x + h) + s[..., None])
    s = 0.5 * s + jnp.where(carry["steps"] % 2 == 0, 1.0, -1.0) * h[..., 0]
    return {"pair": (h, s), "steps": carry["steps"] + 1}, h


CELL = Cell(
    lambda key: {"w": jax.random.normal(key, (H,))}, initial_carry, step, scan_unroll(initial_carry, step), H, H
)
MODEL = recurrent_lm(V, CELL)
PARAMS = jax.tree.map(lambda a: 2.0 * a, MODEL.init(jax.random.key(0)))


def loss_of_the_last(change, params, text):
    """J of the last prediction of a column, `change` added to (h, s) on the edge that leaves step 2."""
    carry = MODEL.initial_carry(params, ())
    for t, token in enumerate(TOKENS[:-1, text]):
        carry, logits = MODEL.step(params, carry, token)
        if t == 2:
            carry = {**carry, "pair": tuple(a + b for a, b in zip(carry["pair"], change, strict=True))}
    return -jax.nn.log_softmax(logits)[TOKENS[-1, text]]


def test_gradient_flow_and_its_profile(x64):
    """In float64: a norm that is small beside the others is what is left of larger numbers."""
    params = jax.tree.map(lambda a: a.astype(jnp.float64), PARAMS)
    flow = analysis.gradient_flow(MODEL, params, TOKENS)
    (norms,) = flow.carry
    assert list(norms) == ["pair.0", "pair.1", "all"]
    for text in range(B):
        by_h, by_s = jax.grad(loss_of_the_last)((jnp.zeros(H), jnp.zeros(())), params, text)
        expected = [jnp.linalg.norm(by_h), jnp.abs(by_s), jnp.hypot(jnp.linalg.norm(by_h), by_s)]
        np.testing.assert_allclose([np.exp(n[text, -1, 2]) for n in norms.values()], expected, rtol=1e-5)
    profile = analysis.lag_profile(flow, leaf="pair.0")
    assert profile.log_median[0] == 0 and profile.counts[0] == B * (T - 1)


def test_weight_gradient_and_truncation():
    found = analysis.weight_gradient_by_step(MODEL, PARAMS, TOKENS)

    def loss(cell_params):
        params, carry = PARAMS.replace(cell=cell_params), MODEL.initial_carry(PARAMS, (B,))
        return -jnp.mean(MODEL.score(params, carry, TOKENS[:-1], TOKENS[1:])[1])

    np.testing.assert_allclose(found.gradient["w"], jax.jit(jax.grad(loss))(PARAMS.cell)["w"], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.shares["w"].sum(), 1.0, rtol=1e-5)
    bias = analysis.truncation_bias(MODEL, PARAMS, TOKENS, lengths=(1, T))
    assert bias.cosine["cell"][0] < 0.999 and bias.cosine["cell"][1] == pytest.approx(1.0)


def test_jacobians_and_exponents():
    """The exponents of all directions add up to the mean log |det|, the product of singular values."""
    text = TOKENS[:, :1]
    spectra = analysis.step_jacobians(MODEL, PARAMS, text, leaf="all")
    carry = jax.tree.map(lambda a: a[None], CELL.step(PARAMS.cell, CELL.initial_carry(PARAMS.cell, ()), start(text))[0])
    exponents = analysis.lyapunov_exponents(MODEL, PARAMS, text[1:], carry=carry)
    assert spectra.log_singular_values.shape == (T, 1, H + 1) and exponents.shape == (1, H + 1)
    np.testing.assert_allclose(exponents.sum(), spectra.log_singular_values.sum() / T, rtol=1e-4)
    count = len(TRACED)
    analysis.step_jacobians(MODEL, PARAMS, text[::-1], leaf="all")
    analysis.lyapunov_exponents(MODEL, PARAMS, text[:0:-1], carry=carry)
    assert len(TRACED) == count


def start(text):
    """The embedded first token."""
    return PARAMS.embedding[text[0, 0]]


def test_context_use():
    use = analysis.context_use(MODEL, PARAMS, np.resize(TOKENS, (30, B)), contexts=(1, 3, 6), positions=20)
    assert np.all(np.isfinite(use.cut)) and use.cost()[0].shape == (3,)


@pytest.mark.parametrize("instrument", ["gate_values", "saturation", "recurrent_radius"])
def test_an_instrument_that_needs_observe_says_so(instrument):
    with pytest.raises(UserError, match=r"^this analysis needs a cell with `observe`, got one without$"):
        getattr(analysis, instrument)(MODEL, PARAMS, *([] if instrument == "recurrent_radius" else [TOKENS]))
