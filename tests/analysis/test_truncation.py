"""Truncated gradients against a loop over chunks, and against arithmetic by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis import TruncationBias, truncation_bias
from lm_jax.cells import Cell, scan_unroll
from lm_jax.models import recurrent_lm
from lm_jax.models.recurrent import RecurrentLMParams
from tests import catalogue
from tests.analysis.test_gradient_flow import drawn, tokens_of
from tests.analysis.test_gradient_flow_use import blinking
from tests.analysis.test_gradient_scale import LINEAR, ROTATION, TOKENS, H, around, linear_params


V, T, B = catalogue.VOCAB_SIZE, 5, 2


def chunk_loss(model, params, carry, inputs, targets):
    """Sum of -log P over a chunk, step by step, and the carry after it."""

    def step(carry, slices):
        token, target = slices
        carry, logits = model.step(params, carry, token)
        return carry, -jnp.sum(jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], -1))

    carry, losses = jax.lax.scan(step, carry, (inputs, targets))
    return jnp.sum(losses), carry


def loop_over_chunks(slope, params, carry, inputs, targets, length):
    """The gradient of the mean loss by truncated back-propagation, one chunk after the other."""
    gradient = jax.tree.map(jnp.zeros_like, params)
    for start in range(0, len(inputs), length):
        chunk = slice(start, start + length)
        (_, carry), part = slope(params, carry, inputs[chunk], targets[chunk])
        gradient = jax.tree.map(lambda a, b: a + b / inputs.size, gradient, part)
    return gradient


@pytest.mark.parametrize(
    "name", ["stack_of_user_cells", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lstm", "gru_after"))]
)
def test_bias_is_that_of_a_loop_over_chunks(name, x64):
    model = recurrent_lm(V, catalogue.CELLS[name].subject)
    params = drawn(jax.eval_shape(model.init, jax.random.key(0)), 1)
    initial = model.initial_carry(params, (B,))
    carry = jax.tree.map(jnp.add, jax.tree.map(lambda a: a.astype(float), initial), drawn(initial, 2, 0.3))
    inputs, targets = tokens_of(T, B)
    lengths = (1, 2, T, T + 5)  # two leaves a chunk of one step
    found = truncation_bias(model, params, inputs, lengths=lengths, targets=targets, carry=carry)
    np.testing.assert_array_equal(found.lengths, lengths)
    slope = jax.jit(jax.value_and_grad(lambda *a: chunk_loss(model, *a), has_aux=True))
    gradients = {k: loop_over_chunks(slope, params, carry, inputs, targets, k) for k in lengths[:-1]}
    for n, length in enumerate(lengths[:-1]):
        for group in ("all", "cell"):
            truncated, whole = (
                np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(g if group == "all" else g.cell)])
                for g in (gradients[length], gradients[T])
            )
            norms = np.linalg.norm(truncated), np.linalg.norm(whole)
            np.testing.assert_allclose(found.cosine[group][n], truncated @ whole / norms[0] / norms[1], rtol=1e-10)
            np.testing.assert_allclose(found.norm_ratio[group][n], norms[0] / norms[1], rtol=1e-10)
    assert np.all(found.cosine["cell"][:2] < 0.999)  # something was truncated
    for group in ("all", "cell"):
        np.testing.assert_allclose([found.cosine[group][2:], found.norm_ratio[group][2:]], 1.0, rtol=1e-12)


def keeper() -> Cell:
    """h' = a h of one unit."""

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, 1))

    def step(params, carry, x):
        h = params["a"] * carry
        return h, h

    return Cell(lambda key: {"a": jnp.ones(())}, initial_carry, step, scan_unroll(initial_carry, step), 1, 1)


def test_two_steps_by_hand(x64):
    """h_0 = a c, h_1 = a^2 c; dh_0/da = c, dh_1/da = 2 a c, and a c where the chunk ends before."""
    a, c = 0.8, 1.5
    model = recurrent_lm(2, keeper())
    params = RecurrentLMParams(jnp.zeros((2, 1)), {"a": jnp.asarray(a)}, jnp.asarray([[1.0, 0.0]]), jnp.zeros(2))
    inputs, targets = np.array([[0], [0]]), np.array([[0], [1]])
    found = truncation_bias(model, params, inputs, lengths=(1, 2), targets=targets, carry=jnp.asarray([[c]]))
    g_0 = 1 / (1 + np.exp(-a * c)) - 1  # P(0) = sigmoid(h), less one where 0 is the target
    g_1 = 1 / (1 + np.exp(-a * a * c))
    whole, truncated = g_0 * c + g_1 * 2 * a * c, g_0 * c + g_1 * a * c
    np.testing.assert_allclose(found.norm_ratio["cell"], [abs(truncated / whole), 1.0], rtol=1e-12)
    np.testing.assert_allclose(found.cosine["cell"], [np.sign(truncated * whole), 1.0], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_gradients_of_any_size(scale):
    """Of the bias of a linear network at zero states: in proportion to the softmax weights, squares out of range."""
    model, params = around(LINEAR, linear_params(0.9 * ROTATION))
    found = truncation_bias(
        model, params.replace(w_out=params.w_out * jnp.float32(scale)), TOKENS[:61], lengths=(1, 7, 60)
    )
    expected = truncation_bias(model, params, TOKENS[:61], lengths=(1, 7, 60))
    np.testing.assert_allclose(found.cosine["cell"], expected.cosine["cell"], rtol=1e-4)
    np.testing.assert_allclose(found.norm_ratio["cell"], expected.norm_ratio["cell"], rtol=1e-4)
    assert expected.cosine["cell"][0] < 0.99


def test_a_cell_without_gradient_has_no_cosine():
    model, params = around(LINEAR, linear_params(ROTATION))
    found = truncation_bias(model, params.replace(w_out=jnp.zeros((H, V))), TOKENS[:6], lengths=(1, 2))
    assert np.all(np.isnan([found.cosine["cell"], found.norm_ratio["cell"]]))
    assert np.all(found.cosine["all"] == pytest.approx(1.0))
    assert found.needed() is None


def test_the_length_that_is_needed_stays_above():
    cosines = np.array([0.5, 0.995, 0.98, 0.991, 1.0])
    found = TruncationBias(np.array([1, 2, 5, 10, 20]), {"all": np.ones(5), "cell": cosines}, {})
    assert [found.needed(), found.needed(0.97), found.needed(0.5), found.needed(1.0)] == [10, 2, 1, 20]
    assert found.needed(of="all") == 1
    assert found._replace(lengths=found.lengths[:3], cosine={"cell": cosines[:3]}).needed() is None
    for wrong, message in (({"cosine": 2}, "between -1 and 1, got 2"), ({"of": "w_h"}, "one of all, cell, got 'w_h'")):
        with pytest.raises(UserError, match=message):
            found.needed(**wrong)


def test_a_cell_of_a_user_is_not_traced_again():
    traced = []
    model = recurrent_lm(V, blinking(3, traced))
    params, text = model.init(jax.random.key(0)), TOKENS[:24].reshape(8, 3)
    found = truncation_bias(model, params, text, lengths=(2, 100))
    np.testing.assert_allclose([found.cosine["cell"][1], found.norm_ratio["cell"][1]], 1.0, rtol=1e-6)
    assert found.norm_ratio["cell"][0] != pytest.approx(1.0)
    count = len(traced)
    truncation_bias(model, params, text[::-1], lengths=(2, 200))
    assert len(traced) == count


def of(name, tokens=TOKENS[:8], **options):
    """The instrument on an entry of the catalogue."""
    entry = catalogue.MODELS[name]
    return truncation_bias(entry.subject, entry.make_params(jax.random.key(0)), tokens, **options)


def diverged():
    """Of parameters that are no numbers."""
    entry = catalogue.MODELS["rnn"]
    params = jax.tree.map(lambda a: a * jnp.nan, entry.make_params(jax.random.key(0)))
    return truncation_bias(entry.subject, params, TOKENS[:8], lengths=(1, 2))


MISTAKES = {
    "window": (lambda: of("window"), "this analysis needs .* a recurrent network, .* got another"),
    "one_token": (lambda: of("lstm", TOKENS[:1]), "this analysis needs at least two predictions, .* got 0"),
    "no_length": (lambda: of("lstm", lengths=()), "lengths must be chunk lengths, at least one, got none"),
    "zero": (lambda: of("lstm", lengths=(0, 1)), "lengths must be .* at least 1, got 0"),
    "falling": (lambda: of("lstm", lengths=(2, 1)), r"lengths must be numbers that rise, got 2 1"),
    "diverged": (diverged, "this analysis needs gradients that are numbers, got NaN"),
    "carry": (lambda: of("rnn", carry=jnp.zeros((2, 4))), r"the shapes \(1, 4\), got \(2, 4\)"),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message) as raised:
        mistake()
    assert "\n" not in str(raised.value)
