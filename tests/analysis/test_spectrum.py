"""Jacobians along a text against gradients of the recurrences written by hand in numpy, and against closed forms."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis import step_jacobians
from lm_jax.cells import rnn
from lm_jax.models import recurrent_lm
from tests import catalogue
from tests.cases import draw_like
from tests.oracles import recurrences


V, T, B = catalogue.VOCAB_SIZE, 8, 2
TOKENS = np.random.default_rng(0).integers(V, size=(T, B))
ORACLES = {
    "rnn_tanh": recurrences.rnn,
    "rnn_relu": functools.partial(recurrences.rnn, nonlinearity="relu"),
    "gru_after": recurrences.gru_after,
    "gru_before": recurrences.gru_before,
    "lstm": recurrences.lstm,
}


@functools.cache
def opened(name):
    """(model, params, carry) around a cell of the catalogue, in float32."""
    entry = catalogue._around(name)
    params = entry.make_params(jax.random.key(0))
    return entry.subject, params, draw_like(entry.subject.initial_carry(params, (B,)), 1)


def in_float64(tree):
    """As numpy, the same numbers."""
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def by_hand(oracle, p, carry, xs, t, lag, sizes):
    """J_t [B, n, n] of the whole carry: one row a unit derivative that backpropagation takes `lag` steps back.

    sizes: of the leaves of the carry.
    """
    p = {name: value for name, value in vars(p).items() if value is not None}
    carry = carry if isinstance(carry, tuple) else (carry,)

    def run(carry, xs):
        return oracle(p, carry if len(carry) > 1 else carry[0], xs)

    start = run(carry, xs[: t - lag + 1])[1]
    start = start if isinstance(start, tuple) else (start,)
    backward = run(start, xs[t - lag + 1 : t + 1])[2]
    rows = []
    for row in np.eye(sum(sizes)):
        unit = tuple(np.tile(part, (B, 1)) for part in np.split(row, np.cumsum(sizes)[:-1]))
        d_carry = backward(np.zeros((lag, *carry[0].shape)), unit if len(unit) > 1 else unit[0])[1]
        rows.append(np.concatenate(d_carry if isinstance(d_carry, tuple) else (d_carry,), axis=-1))
    return np.stack(rows, axis=1)


def check(measured, expected):
    """Spectra [N, B, n] against those of the Jacobians [N, B, n, n]."""
    singular_values = np.linalg.svd(expected, compute_uv=False)
    radius = np.abs(np.linalg.eigvals(expected)).max(axis=-1)
    np.testing.assert_allclose(np.exp(measured.log_singular_values), singular_values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.exp(measured.log_spectral_norm), singular_values[..., 0], rtol=1e-9)
    np.testing.assert_allclose(np.exp(measured.log_spectral_radius), radius, rtol=1e-9)
    # power sums give the eigenvalues in any order
    for power in (1, 2, 3):
        trace = np.trace(np.linalg.matrix_power(expected, power), axis1=-2, axis2=-1)
        np.testing.assert_allclose(np.sum(measured.eigenvalues**power, axis=-1), trace, rtol=1e-9, atol=1e-12)
    assert np.all(np.diff(np.abs(measured.eigenvalues), axis=-1) <= 1e-12)


@pytest.mark.parametrize("lag", [1, 3])
@pytest.mark.parametrize("name", ORACLES)
def test_spectra_are_those_of_jacobians_by_hand(name, lag):
    model, params, carry = opened(name)
    leaves = {"h": slice(0, 4), "c": slice(4, 8), "all": slice(0, 8)} if name == "lstm" else {"h": slice(0, 4)}
    p, c, embedding = in_float64((params.cell, carry, params.embedding))
    positions = [lag, 5, T - 1]
    whole = [by_hand(ORACLES[name], p, c, embedding[TOKENS], t, lag, [4] * (len(leaves) // 3 + 1)) for t in positions]
    for leaf, place in leaves.items():
        measured = step_jacobians(
            model, params, TOKENS, carry=carry, leaf=leaf, lag=lag, positions=positions, double=True
        )
        check(measured, np.stack(whole)[..., place, place])
        assert measured.lag == lag and measured.positions.tolist() == positions
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("layer", [0, 1])
def test_a_layer_of_a_stack_is_a_recurrence_of_its_own(layer):
    """The upper one is driven by the outputs of the lower."""
    model, params, carry = opened("stack_plain")  # lstm below, gru above
    cells, c, embedding = in_float64((params.cell.cells, carry, params.embedding))
    xs = embedding[TOKENS]
    lower = (recurrences.lstm, cells[0], tuple(c[0]), xs, 4, 2, [5, 5])
    ys = recurrences.lstm(vars(cells[0]), tuple(c[0]), xs)[0]
    upper = (recurrences.gru_after, cells[1], c[1], ys, 4, 2, [4])
    measured = step_jacobians(
        model, params, TOKENS, carry=carry, layer=layer, leaf="all", lag=2, positions=[4], double=True
    )
    check(measured, by_hand(*(lower, upper)[layer])[None])


def linear(rho, size=4):
    """(model, params) of a linear network with rho times an orthogonal matrix."""
    model = recurrent_lm(V, rnn(3, size, nonlinearity="identity"))
    params = model.init(jax.random.key(0))
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(size, size)))[0]
    return model, params.replace(cell=params.cell.replace(w_h=jnp.asarray(rho * q, jnp.float32)))


@pytest.mark.parametrize("rho", [0.5, 2.0])
def test_a_long_lag_neither_underflows_nor_overflows_in_float32(rho):
    """0.5^400 is 1e-120."""
    measured = step_jacobians(*linear(rho), np.zeros(410, int), lag=400, positions=[400, 409])
    for logs in (measured.log_singular_values, measured.log_spectral_radius, np.log(np.abs(measured.eigenvalues))):
        np.testing.assert_allclose(logs, 400 * np.log(rho), rtol=1e-5)


def test_eigenvalues_out_of_range_are_infinite_or_zero_and_not_nan():
    """4^1100 and 4^-1100 with eigenvectors along the axes; their logarithms are what they are."""
    for rho, expected in ((4.0, np.inf), (0.25, 0.0)):
        model, params = linear(1.0)
        params = params.replace(cell=params.cell.replace(w_h=rho * jnp.eye(4)))
        measured = step_jacobians(model, params, np.zeros(1110, int), lag=1100, positions=[1105])
        np.testing.assert_array_equal(measured.eigenvalues, np.full((1, 1, 4), expected))
        np.testing.assert_allclose(measured.log_spectral_radius, [[1100 * np.log(rho)]])
        np.testing.assert_allclose(measured.log_singular_values, np.full((1, 1, 4), 1100 * np.log(rho)))


def test_default_positions_are_spread_over_the_text():
    model, params, _ = opened("rnn_tanh")
    few = step_jacobians(model, params, TOKENS, lag=2)
    assert few.positions.tolist() == [2, 3, 4, 5, 6, 7]
    assert few.log_singular_values.shape == few.eigenvalues.shape == (6, B, 4)
    many = step_jacobians(model, params, np.resize(TOKENS, (300, 1))).positions
    assert len(many) == 32 and many[0] == 1 and many[-1] == 299 and np.ptp(np.diff(many)) <= 1


def test_float32_is_close_and_float64_is_another():
    model, params, carry = opened("lstm")
    single, double = (step_jacobians(model, params, TOKENS, carry=carry, double=d) for d in (False, True))
    np.testing.assert_allclose(single.log_spectral_norm, double.log_spectral_norm, atol=1e-5)
    assert np.any(single.log_spectral_norm != double.log_spectral_norm)


@pytest.mark.parametrize("double", [False, True])
def test_a_users_cell(double):
    """The sum is handed on whole, and so is the count."""
    model, params, carry = opened("running_mean")
    for leaf, size in (("sum", 4), ("count", 1), ("all", 5)):
        measured = step_jacobians(model, params, TOKENS, carry=carry, leaf=leaf, lag=3, double=double)
        np.testing.assert_allclose(measured.eigenvalues, np.ones((5, B, size)), rtol=1e-6)
        np.testing.assert_allclose(measured.log_singular_values, np.zeros((5, B, size)), atol=1e-6)


def test_a_second_call_does_not_trace_again():
    traced = []
    cell = catalogue.CELLS["rnn_tanh"].subject

    def step(params, carry, x):
        traced.append(None)
        return cell.step(params, carry, x)

    model = recurrent_lm(V, cell._replace(step=step))
    params = model.init(jax.random.key(0))
    step_jacobians(model, params, TOKENS, positions=[3, 4])
    count = len(traced)
    step_jacobians(model, params, TOKENS[::-1], positions=[5, 6])
    assert count and len(traced) == count


def call(name="lstm", tokens=TOKENS, **options):
    """The instrument on an entry of the catalogue."""
    entry = catalogue.MODELS[name]
    return step_jacobians(entry.subject, entry.make_params(jax.random.key(0)), tokens, **options)


def diverged():
    """Parameters that are no numbers."""
    model, params, _ = opened("rnn_tanh")
    return step_jacobians(model, jax.tree.map(lambda a: a * jnp.nan, params), TOKENS)


MISTAKES = SimpleNamespace(
    ngram=(lambda: call("bigram_katz"), "a recurrent network, .* got another"),
    one_token=(lambda: call(tokens=TOKENS[:1]), "at least two .* got 1"),
    long_lag=(lambda: call(lag=T), "lag must be below the number of steps, 8, got 8"),
    no_lag=(lambda: call(lag=0), "lag must be .* at least 1, got 0"),
    early=(lambda: call(lag=3, positions=[2]), r"steps from 3, the lag, to 7, got \[2\]"),
    late=(lambda: call(positions=[8]), r"steps from 1, the lag, to 7, got \[8\]"),
    no_positions=(lambda: call(positions=[]), r"a list of steps, got \[\]"),
    layer=(lambda: call(layer=1), "layer must be from 0 to 0, or -1 for the top, got 1"),
    leaf=(lambda: call(leaf="g"), "leaf must be one of h, c, all, got 'g'"),
    carry=(lambda: call("rnn", carry=jnp.zeros((1, 4))), r"the shapes \(2, 4\), got \(1, 4\)"),
    ids=(lambda: call(tokens=TOKENS + 1), "ids of a vocabulary of 5, got 1 to 5"),
    diverged=(diverged, "got NaN or infinity"),
)


@pytest.mark.parametrize(("mistake", "message"), vars(MISTAKES).values(), ids=vars(MISTAKES))
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message) as raised:
        mistake()
    assert "\n" not in str(raised.value)
