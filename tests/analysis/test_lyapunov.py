"""Lyapunov exponents of maps whose exponents are known, and of recurrences against numpy."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis import lyapunov_exponents, lyapunov_spectrum
from lm_jax.cells import lstm, rnn, stacked
from lm_jax.models import recurrent_lm
from tests import catalogue
from tests.oracles import recurrences


V, T, B = catalogue.VOCAB_SIZE, 12, 2
TOKENS = np.random.default_rng(0).integers(V, size=(T, B))


def of_map(step, state, steps, **options):
    """Exponents of a map that reads nothing."""
    spectrum = functools.partial(lyapunov_spectrum, lambda state, x: step(state), **options)
    return np.asarray(jax.jit(spectrum)(state, jnp.arange(steps)))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_of_a_linear_map_they_are_the_logarithms_of_its_eigenvalues(count, x64):
    sizes = np.array([1.5, 0.9, 0.4, 0.1])
    basis = np.random.default_rng(1).normal(size=(4, 4))
    matrix = basis @ np.diag([0.9, -1.5, 0.1, -0.4]) @ np.linalg.inv(basis)
    measured = of_map(lambda h: h @ matrix, jnp.zeros(4), 400, count=count, discard=300)
    np.testing.assert_allclose(measured, np.log(sizes)[:count], rtol=0, atol=1e-10)


def test_directions_that_the_map_leaves_alone_do_not_hide_the_others(x64):
    """A diagonal map: unit vectors would stay where they are, and the first is the slowest."""
    measured = of_map(lambda h: h * jnp.array([0.5, 2.0]), jnp.zeros(2), 200, count=1, discard=100)
    np.testing.assert_allclose(measured, np.log([2.0]), atol=1e-12)


# The mean of a million steps has a standard error of some 0.0004.
@pytest.mark.parametrize(("orbits", "tolerance"), [(100, 5e-3), pytest.param(4000, 5e-4, marks=pytest.mark.slow)])
def test_of_the_henon_map_to_three_digits(orbits, tolerance, x64):
    """(0.4192, -1.6232) (Sprott 2003); their sum is log 0.3 at every step. Orbits of 2,000 steps each."""

    def henon(point):
        x, y = point
        return 1 - 1.4 * x * x + y, 0.3 * x

    starts = 0.1 * jax.random.uniform(jax.random.key(0), (2, orbits))
    one = functools.partial(lyapunov_spectrum, lambda point, _: henon(point), count=2, discard=200)
    measured = np.asarray(jax.jit(jax.vmap(one, in_axes=(0, None)))(tuple(starts), jnp.arange(2200)))
    np.testing.assert_allclose(measured.sum(axis=1), np.log(0.3), atol=1e-12)
    np.testing.assert_allclose(measured.mean(axis=0), [0.4192, -1.6232], rtol=0, atol=tolerance)


def test_states_are_trees_and_whole_numbers_are_held(x64):
    """Halved at even steps, doubled twice at odd ones."""

    def step(state):
        return {"n": state["n"] + 1, "a": tuple(jnp.where(state["n"] % 2 == 0, 0.5, 4.0) * a for a in state["a"])}

    state = {"n": jnp.array(0), "a": (jnp.ones((2, 2)), jnp.ones(3, jnp.float32))}
    np.testing.assert_allclose(of_map(step, state, 10, count=7), np.full(7, np.log(2) / 2), atol=1e-6)


def test_a_direction_that_is_lost_has_minus_infinity(x64):
    measured = of_map(lambda h: jnp.array([2.0, 0.0]) * h, jnp.ones(2), 20, count=2, discard=5)
    np.testing.assert_allclose(measured[0], np.log(2), atol=1e-12)
    assert np.isneginf(measured[1])


def drawn(model, scale=0.5):
    """Parameters drawn from a normal distribution, float32."""
    generator = np.random.default_rng(2)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda a: jnp.asarray(scale * generator.normal(size=a.shape), a.dtype), shapes)


def in_float64(tree):
    """As numpy, the same numbers."""
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def log_determinants(oracle, p, carry, xs):
    """Mean of log |det| of the steps' Jacobians [B], by the gradient written by hand."""
    sums = np.zeros(xs.shape[1])
    for x in xs:
        _, after, backward = oracle(p, carry, x[None])
        leaves = carry if isinstance(carry, tuple) else (carry,)
        rows = []
        for row in np.eye(sum(leaf.shape[1] for leaf in leaves)):
            unit = tuple(np.tile(part, (len(leaves[0]), 1)) for part in np.split(row, len(leaves)))
            d_carry = backward(np.zeros((1, *leaves[0].shape)), unit if len(unit) > 1 else unit[0])[1]
            rows.append(np.concatenate(d_carry if isinstance(d_carry, tuple) else (d_carry,), axis=-1))
        sums += np.linalg.slogdet(np.stack(rows, axis=1))[1]
        carry = after
    return sums / len(xs)


def test_the_sum_of_all_is_the_mean_logarithm_of_the_determinant():
    """Whatever the initial directions are, after a discard too; of an LSTM with both leaves."""
    model = recurrent_lm(V, lstm(3, 4))
    params = drawn(model)
    p, embedding = in_float64((vars(params.cell), params.embedding))
    xs, zeros = embedding[TOKENS], np.zeros((B, 4))
    measured = lyapunov_exponents(model, params, TOKENS, count=8, double=True)
    np.testing.assert_allclose(
        measured.sum(axis=1), log_determinants(recurrences.lstm, p, (zeros, zeros), xs), rtol=1e-9
    )
    _, (h, c), _ = recurrences.lstm(p, (zeros, zeros), xs[:5])
    later = lyapunov_exponents(model, params, TOKENS, count=8, discard=5, double=True)
    np.testing.assert_allclose(later.sum(axis=1), log_determinants(recurrences.lstm, p, (h, c), xs[5:]), rtol=1e-9)
    assert not jax.config.jax_enable_x64


def test_of_a_driven_network_they_are_those_of_the_product_of_jacobians():
    """Once the directions have turned, whatever they were: D_t by hand, QR by numpy."""
    model = recurrent_lm(V, rnn(3, 3))
    params = drawn(model, 0.8)
    tokens = np.random.default_rng(4).integers(V, size=(400, 1))
    p, embedding = in_float64((vars(params.cell), params.embedding))
    h, q, logs = np.zeros(3), np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0], []
    for token in tokens[:, 0]:
        h = np.tanh(embedding[token] @ p["w_x"] + h @ p["w_h"] + p["b"])
        q, r = np.linalg.qr((p["w_h"] * (1 - h**2)).T @ q)
        logs.append(np.log(np.abs(np.diag(r))))
    measured = lyapunov_exponents(model, params, tokens, count=3, discard=100, double=True)[0]
    np.testing.assert_allclose(measured, np.mean(logs[100:], axis=0), rtol=1e-8)
    np.testing.assert_allclose(lyapunov_exponents(model, params, tokens, count=3, discard=100)[0], measured, atol=1e-4)


@pytest.mark.parametrize("rho", [0.3, 1.2])
def test_of_a_scaled_orthogonal_linear_network_they_are_log_rho(rho):
    model = recurrent_lm(V, rnn(3, 4, nonlinearity="identity"))
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        params = drawn(model)
        params = params.replace(cell=params.cell.replace(w_h=jnp.asarray(rho * q, float)))
    measured = lyapunov_exponents(model, params, TOKENS, double=True)
    np.testing.assert_allclose(measured, np.full((B, 4), np.log(rho)), rtol=1e-12)


def test_a_stack_counts_all_layers():
    """Two linear layers: the exponents of both, as the block of one by the other does not change eigenvalues."""
    model = recurrent_lm(V, stacked([rnn(3, 2, nonlinearity="identity"), rnn(2, 3, nonlinearity="identity")]))
    params = drawn(model)
    radii = np.concatenate([np.abs(np.linalg.eigvals(np.asarray(c.w_h, float))) for c in params.cell.cells])
    measured = lyapunov_exponents(model, params, np.zeros(300, int), discard=100, double=True)[0]
    assert measured.shape == (5,)
    np.testing.assert_allclose(measured.sum(), np.log(radii).sum(), rtol=1e-9)
    np.testing.assert_allclose(measured[0], np.log(radii.max()), atol=0.01)


def test_a_users_cell_and_a_text_without_an_axis():
    """What sums up what it reads neither forgets nor grows."""
    model = catalogue.MODELS["running_mean"].subject
    params = model.init(jax.random.key(0))
    np.testing.assert_allclose(lyapunov_exponents(model, params, TOKENS[:, 0]), np.zeros((1, 5)), atol=1e-5)


def call(name="lstm", tokens=TOKENS, **options):
    """The instrument on an entry of the catalogue."""
    entry = catalogue.MODELS[name]
    return lyapunov_exponents(entry.subject, entry.make_params(jax.random.key(0)), tokens, **options)


def diverged():
    """Parameters that are no numbers."""
    model = catalogue.MODELS["rnn"].subject
    return lyapunov_exponents(model, jax.tree.map(lambda a: a * jnp.nan, drawn(model)), TOKENS)


MISTAKES = SimpleNamespace(
    ngram=(lambda: call("bigram_katz"), "a recurrent network, .* got another"),
    one_token=(lambda: call(tokens=TOKENS[:1]), "at least two .* got 1"),
    count=(lambda: call(count=9), "count must be at most the 8 real numbers of the state, got 9"),
    none=(lambda: call(count=0), "count must be .* at least 1, got 0"),
    discard=(lambda: call(discard=T), "discard .* below the number of steps, 12, got 12"),
    negative=(lambda: call(discard=-1), "discard .* from 0 .* got -1"),
    carry=(lambda: call("rnn", carry=jnp.zeros((1, 4))), r"the shapes \(2, 4\), got \(1, 4\)"),
    whole=(lambda: of_map(lambda n: n + 1, jnp.array(0), 3, count=1), "a carry of real numbers"),
    diverged=(diverged, "got NaN"),
)


@pytest.mark.parametrize(("mistake", "message"), vars(MISTAKES).values(), ids=vars(MISTAKES))
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message) as raised:
        mistake()
    assert "\n" not in str(raised.value)
