"""The parts of a weight's gradient against weights that are not shared between steps, and finite differences."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis import weight_gradient_by_step
from lm_jax.analysis.weight_gradient import weight_gradient_on_device
from lm_jax.cells import Cell, lstm, scan_unroll
from lm_jax.models import recurrent_lm
from tests import catalogue
from tests.analysis.test_gradient_flow import drawn, tokens_of
from tests.analysis.test_gradient_flow_use import blinking
from tests.analysis.test_gradient_scale import LINEAR, ROTATION, TOKENS, around, linear_params, shapes_of


V, T, B = catalogue.VOCAB_SIZE, 6, 2


class Untied:
    """A model around a cell of the catalogue, and its losses as a function of separate weights for every step."""

    def __init__(self, name):
        self.model = recurrent_lm(V, catalogue.CELLS[name].subject)
        self.params = drawn(jax.eval_shape(self.model.init, jax.random.key(0)), 1)
        initial = self.model.initial_carry(self.params, (B,))
        self.carry = jax.tree.map(jnp.add, jax.tree.map(lambda a: a.astype(float), initial), drawn(initial, 2, 0.3))
        self.inputs, self.targets = tokens_of(T, B)
        self.weights = jax.tree.map(lambda leaf: jnp.stack([leaf] * T), self.params.cell)

    def losses(self, weights):
        """J_i of the mean [T], step t using weights[t]."""

        def step(carry, slices):
            own, token, target = slices
            carry, logits = self.model.step(self.params.replace(cell=own), carry, token)
            log_probs = jax.nn.log_softmax(logits)
            return carry, -jnp.sum(jnp.take_along_axis(log_probs, target[:, None], -1)) / (T * B)

        return jax.lax.scan(step, self.carry, (weights, self.inputs, self.targets))[1]

    def found(self, **options):
        """The instrument under test."""
        return weight_gradient_by_step(
            self.model, self.params, self.inputs, targets=self.targets, carry=self.carry, **options
        )


def by_name(tree):
    """{path: array}."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


SLOW = ("rnn_tanh", "lstm", "running_mean", "stack_highway", "stack_of_user_cells")
CELLS = ["gru_before", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.parametrize("name", CELLS)
def test_parts_are_those_of_weights_that_are_not_shared(name, x64):
    untied = Untied(name)
    parts = by_name(jax.jit(jax.jacrev(untied.losses))(untied.weights))  # [i, t, ...]
    found = untied.found()
    gradient = by_name(found.gradient)
    assert found.log_norms.keys() == found.shares.keys() == gradient.keys() == parts.keys()
    for leaf, part in parts.items():
        whole = part.sum((0, 1))
        np.testing.assert_allclose(gradient[leaf], whole, rtol=1e-10, atol=1e-15)
        norms = np.linalg.norm(part.sum(0).reshape(T, -1), axis=-1)
        np.testing.assert_allclose(np.exp(found.log_norms[leaf]), norms, rtol=1e-10)
        projections = np.tensordot(part, whole, whole.ndim)
        shares = np.array([np.trace(projections, -lag) for lag in range(T)])
        if np.any(whole):
            np.testing.assert_allclose(found.shares[leaf], shares / np.sum(whole**2), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found.shares[leaf].sum(), 1.0, rtol=1e-12)
        else:  # where the sum of `running_mean` starts is no use at a step
            assert leaf.endswith("start") and np.all(np.isnan(found.shares[leaf]))
            assert np.all(np.isneginf(found.log_norms[leaf]))


@pytest.mark.parametrize("name", ["running_mean", pytest.param("lstm", marks=pytest.mark.slow)])
def test_shares_are_finite_differences(name, x64):
    """Of the losses, the weight of one step moved along the gradient."""
    untied = Untied(name)
    found = untied.found()
    losses = jax.jit(untied.losses)
    for leaf in ("w_h", "b") if name == "lstm" else ("w",):
        g = by_name(found.gradient)[leaf]
        shares = np.zeros(T)
        for t in range(T):
            ahead, behind = (losses(moved(untied.weights, leaf, t, sign * 1e-4 * g)) for sign in (1, -1))
            slopes = np.asarray(ahead - behind) / 2e-4
            assert not np.any(slopes[:t])
            shares[: T - t] += slopes[t:] / np.sum(g**2)
        np.testing.assert_allclose(found.shares[leaf], shares, rtol=1e-6, atol=1e-9)


def moved(weights, leaf, t, change):
    """The weights with one leaf of step t changed."""

    def change_leaf(path, array):
        same = jax.tree_util.keystr(path, simple=True, separator=".") == leaf
        return array.at[t].add(change) if same else array

    return jax.tree_util.tree_map_with_path(change_leaf, weights)


@pytest.mark.slow
def test_the_sum_is_the_ordinary_gradient(x64):
    """Through `score`, of a stack with connections."""
    untied = Untied("stack_dense")
    gradient = jax.jit(jax.grad(functools.partial(mean_loss, untied.model, untied.params)))(
        untied.params.cell, untied.carry, untied.inputs, untied.targets
    )
    found = by_name(untied.found(max_lag=1).gradient)
    for name, expected in by_name(gradient).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-10, atol=1e-15, err_msg=name)
    assert "cells.2.w_h" in found


def mean_loss(model, params, cell_params, carry, inputs, targets):
    """Through the model's own `score`."""
    return -jnp.mean(model.score(params.replace(cell=cell_params), carry, inputs, targets)[1])


def test_max_lag_leaves_out_the_longer_ones_only(x64):
    untied = Untied("lstm")
    whole, part = untied.found(), untied.found(max_lag=3)
    for name, shares in whole.shares.items():
        np.testing.assert_allclose(part.shares[name], shares[:4], rtol=1e-12)
        for lag in range(4):
            beyond = [w.share_beyond(lag)[name] for w in (whole, part)]
            np.testing.assert_allclose(beyond, shares[lag + 1 :].sum(), rtol=1e-9)
        assert whole.share_beyond(T - 1)[name] == 0.0
        np.testing.assert_array_equal(part.log_norms[name], whole.log_norms[name])
    with pytest.raises(UserError, match="among those measured, 0 to 3, got 4"):
        part.share_beyond(4)


@pytest.fixture(scope="module")
def linear():
    """(model, params): a linear network at zero states, whose w_h is a rotation times 0.871."""
    return around(LINEAR, linear_params(0.871 * ROTATION))


def linear_shares(linear, scale):
    """(found, softmax gradients [T, H]); scale: of the softmax weights, and so of all gradients."""
    model, params = linear
    params = params.replace(w_out=params.w_out * jnp.float32(scale))
    p = np.asarray(jax.nn.softmax(params.b_out), np.float64)
    g = (p - np.eye(V)[TOKENS[1:, 0]]) @ np.asarray(params.w_out, np.float64).T
    return weight_gradient_by_step(model, params, TOKENS), g


def test_a_share_at_a_lag_of_a_thousand_is_not_zero(linear):
    """0.871^999 is 1e-60, in float32. Loss i reaches the bias at step t as g_i (rho Q^T)^(i-t)."""
    found, g = linear_shares(linear, 1.0)
    w_h = np.asarray(np.float32(0.871 * ROTATION), np.float64)
    powers = [np.linalg.matrix_power(w_h.T, lag) for lag in range(1000)]
    parts = np.array([g[lag:].sum(0) @ power for lag, power in enumerate(powers)])
    whole = parts.sum(0)
    expected = parts @ whole / np.sum(whole**2)
    assert 0 < abs(expected[-1]) < 1e-58
    np.testing.assert_allclose(found.shares["b"], expected, rtol=1e-2)
    np.testing.assert_allclose(found.gradient.b, whole / 1000, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_gradients_of_any_size_have_the_same_shares(linear, scale):
    """Their squares underflow or overflow."""
    found, expected = linear_shares(linear, scale)[0], linear_shares(linear, 1.0)[0]
    moved_by = math.log(np.float32(scale))
    np.testing.assert_allclose(found.log_norms["b"], expected.log_norms["b"] + moved_by, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.shares["b"], expected.shares["b"], rtol=1e-2)
    assert np.all(np.isneginf(found.log_norms["w_h"]))  # all states are zero


def test_no_array_has_an_axis_of_time_and_those_of_a_weight():
    steps, size = 97, 31  # primes: nothing else has these lengths
    model = recurrent_lm(7, lstm(size, size))
    params = jax.eval_shape(model.init, jax.random.key(0))
    carry = jax.eval_shape(lambda p: model.initial_carry(p, (1,)), params)
    tokens = jax.ShapeDtypeStruct((steps, 1), jnp.int32)
    function = functools.partial(weight_gradient_on_device, model.opened, (0, 1), steps - 1)
    shapes = set(shapes_of(jax.make_jaxpr(function)(params, carry, tokens, tokens).jaxpr))
    assert (size, 4 * size) in shapes and (steps - 1, 1, size) in shapes  # a weight's gradient, and the rows
    assert max(map(math.prod, shapes)) <= steps * 4 * size


def reversible_only(size: int) -> Cell:
    """h' = f(w * (x + h)) with a derivative for reverse mode alone, in parameters that are one array."""

    @jax.custom_vjp
    def f(a):
        return jnp.tanh(a)

    f.defvjp(lambda a: (jnp.tanh(a), a), lambda a, g: (g * (1 - jnp.tanh(a) ** 2),))

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, size))

    def step(params, carry, x):
        h = f(params * (x + carry))
        return h, h

    return Cell(
        lambda key: jax.random.normal(key, (size,)),
        initial_carry,
        step,
        scan_unroll(initial_carry, step),
        size,
        size,
    )


@pytest.mark.parametrize("kind", ["blinking", "reversible_only"])
def test_a_cell_of_a_user(kind):
    """One that counts in whole numbers, and one without forward mode."""
    traced = []
    model = recurrent_lm(V, blinking(3, traced) if kind == "blinking" else reversible_only(3))
    params = model.init(jax.random.key(0))
    carry, text = model.initial_carry(params, (3,)), TOKENS[:24].reshape(8, 3)
    found = weight_gradient_by_step(model, params, text)
    slope = jax.jit(jax.grad(functools.partial(mean_loss, model, params)))
    expected = slope(params.cell, carry, text[:-1], text[1:])
    np.testing.assert_allclose(jax.tree.leaves(found.gradient)[0], jax.tree.leaves(expected)[0], rtol=1e-4, atol=1e-6)
    (name,) = found.shares
    assert name == ("a" if kind == "blinking" else "params")
    np.testing.assert_allclose(found.shares[name].sum(), 1.0, rtol=1e-4)
    count = len(traced)
    weight_gradient_by_step(model, params, text[::-1])
    assert len(traced) == count  # the same shapes are not traced again


def of(name, tokens=TOKENS[:8], **options):
    """The instrument on an entry of the catalogue."""
    entry = catalogue.MODELS[name]
    return weight_gradient_by_step(entry.subject, entry.make_params(jax.random.key(0)), tokens, **options)


def without(params, carry):
    """On a cell without parameters or without a carry."""
    cell = Cell(lambda key: params, lambda p, b: carry, lambda p, c, x: (c, x), None, 3, 3)
    model = recurrent_lm(V, cell)
    return weight_gradient_by_step(model, model.init(jax.random.key(0)), TOKENS[:8])


def diverged():
    """Of parameters that are no numbers."""
    entry = catalogue.MODELS["rnn"]
    params = jax.tree.map(lambda a: a * jnp.nan, entry.make_params(jax.random.key(0)))
    return weight_gradient_by_step(entry.subject, params, TOKENS[:8])


MISTAKES = {
    "n-gram": (lambda: of("bigram_katz"), "this analysis needs .* a recurrent network, .* got another"),
    "one_token": (lambda: of("lstm", TOKENS[:1]), "this analysis needs at least two predictions, .* got 0"),
    "long_lag": (lambda: of("lstm", max_lag=7), "max_lag must be below the number of predictions, 7, got 7"),
    "unknown_id": (lambda: of("lstm", TOKENS + 1), "ids of a vocabulary of 5, got 1 to 5"),
    "diverged": (diverged, "this analysis needs gradients that are numbers, got NaN"),
    "carry": (lambda: of("rnn", carry=jnp.zeros((2, 4))), r"the shapes \(1, 4\), got \(2, 4\)"),
    "no_parameters": (lambda: without({}, jnp.zeros((1, 3))), "needs a cell with parameters, got one without"),
    "no_carry": (lambda: without(jnp.ones(3), ()), "needs a carry of real numbers, got"),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message) as raised:
        mistake()
    assert "\n" not in str(raised.value)
