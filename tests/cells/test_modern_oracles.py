"""Cells after the LSTM against loops in numpy from the papers' equations; what long sequences do; closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError, cells
from lm_jax.cells.lru import eigenvalues
from tests.cells.test_oracles import as_numpy
from tests.oracles import modern_recurrences as oracles
from tests.oracles import recurrences


def _diagonal(oracle, gates, carries):
    def ys(p, xs):
        start = np.zeros((xs.shape[1], p["a"].size // gates))
        carry = start if carries == 1 else (start,) * carries
        return oracle(oracles.with_full_matrices(p, gates), carry, xs)[0]

    return ys


P = functools.partial
NUMPY = {
    "mingru": (cells.mingru, {}, oracles.mingru),
    "minlstm": (cells.minlstm, {}, oracles.minlstm),
    "lru": (cells.lru, {}, oracles.lru),
    "rglru": (cells.rglru, {}, oracles.rglru),
    "slstm": (cells.slstm, {}, oracles.slstm),
    "slstm_heads": (cells.slstm, {"heads": 2}, oracles.slstm),
    "slstm_exponential": (cells.slstm, {"forget": "exponential"}, P(oracles.slstm, forget="exponential")),
    "mlstm": (cells.mlstm, {}, oracles.mlstm),
    "mlstm_heads": (cells.mlstm, {"heads": 2}, P(oracles.mlstm, heads=2)),
    "gated_deltanet": (cells.gated_deltanet, {}, oracles.gated_deltanet),
    "gated_deltanet_heads": (
        cells.gated_deltanet,
        {"heads": 2, "beta_max": 1.0},
        P(oracles.gated_deltanet, heads=2, beta_max=1.0),
    ),
    "cornn": (cells.cornn, {}, oracles.cornn),
    "diagonal_gru": (cells.diagonal_gru, {}, _diagonal(recurrences.gru_before, 3, 1)),
    "diagonal_lstm": (cells.diagonal_lstm, {}, _diagonal(recurrences.lstm, 4, 2)),
}
FAST = {"mingru": "associative", "minlstm": "associative", "lru": "associative", "rglru": "associative"}
FAST |= {name: "chunkwise" for name in NUMPY if name.split("_")[0] in ("mlstm", "gated")}
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}
ENGINES = [(name, engine) for name in NUMPY for engine in ("scan", FAST.get(name)) if engine]


def make(name, sizes, engine):
    """The cell with an engine, where it has a choice."""
    factory, options, _ = NUMPY[name]
    return factory(*sizes, **options, **({"recurrence": engine} if name in FAST else {}))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("name", "engine"), ENGINES)
def test_outputs_equal_those_of_a_numpy_loop(name, engine, dtype, x64):
    """Over two chunks and a half, from parameters as they are drawn, biases too."""
    cell, generator = make(name, (3, 6), engine), np.random.default_rng(0)
    params = jax.tree.map(
        lambda a: jnp.asarray(np.asarray(a) + 0.3 * generator.normal(size=a.shape), dtype), cell.init(jax.random.key(0))
    )
    xs = jnp.asarray(generator.normal(size=(80, 2, 3)), dtype)
    _, ys = jax.jit(cell.unroll)(params, cell.initial_carry(params, (2,)), xs)
    expected = NUMPY[name][2](as_numpy(params), np.asarray(xs, np.float64))
    assert ys.dtype == dtype
    np.testing.assert_allclose(ys, expected, rtol=0, atol=TOLERANCES[dtype] * max(1, np.abs(expected).max()))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "engine"), ENGINES)
def test_a_sequence_of_16384_steps_overflows_nothing(name, engine):
    """Outputs and gradients are numbers, also where gates are pushed far to either side."""
    cell = make(name, (2, 4), engine)
    params = cell.init(jax.random.key(0))
    xs = 20 * jax.random.normal(jax.random.key(1), (16384, 1, 2))

    @jax.jit
    def value_and_gradient(params, xs):
        def loss(params, xs):
            return jnp.mean(jnp.square(cell.unroll(params, cell.initial_carry(params, (1,)), xs)[1]))

        return jax.value_and_grad(loss, (0, 1))(params, xs)

    for leaf in jax.tree.leaves(value_and_gradient(params, xs)):
        assert np.isfinite(leaf).all()


def test_an_lru_remembers_by_the_powers_of_its_eigenvalues(x64):
    """The derivative of the state k steps later by a state is lambda^k, to 1e-10."""
    cell = cells.lru(3, 5)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), cell.init(jax.random.key(0)))
    xs, carry = jnp.zeros((40, 3)), cell.initial_carry(params, ())
    last = jax.jacrev(lambda c: cell.unroll(params, c, xs)[0])(carry)
    expected = eigenvalues(params) ** 40
    np.testing.assert_allclose(last.re.re, np.diag(expected.real), atol=1e-10)
    np.testing.assert_allclose(last.im.re, np.diag(expected.imag), atol=1e-10)
    np.testing.assert_allclose(last.re.im, np.diag(-expected.imag), atol=1e-10)


def test_an_lru_begins_in_its_ring_and_keeps_the_variance_of_noise():
    cell = cells.lru(64, 256, r_min=0.8, r_max=0.95)
    params = cell.init(jax.random.key(0))
    radius = np.abs(eigenvalues(params))
    assert 0.8 <= radius.min() < 0.82 and 0.93 < radius.max() <= 0.95
    np.testing.assert_allclose(np.exp(params.gamma), np.sqrt(1 - radius**2), rtol=1e-4)
    xs = jax.random.normal(jax.random.key(1), (200, 50, 64))
    carry, _ = jax.jit(cell.unroll)(params, cell.initial_carry(params, (50,)), xs)
    np.testing.assert_allclose(np.mean(np.square(carry.re) + np.square(carry.im)), 1.0, rtol=0.05)


STATES = {
    "mingru": 8,
    "minlstm": 8,
    "lru": 16,
    "rglru": 8,
    "slstm": 24,
    "mlstm_heads": 8 * 4 + 8 + 2,
    "gated_deltanet_heads": 8 * 4,
    "cornn": 16,
    "diagonal_gru": 8,
    "diagonal_lstm": 16,
}


@pytest.mark.parametrize("name", STATES)
def test_numbers_in_a_state(name):
    """What is carried from step to step, counted."""
    cell = make(name, (3, 8), "scan")
    carry = jax.eval_shape(lambda key: cell.initial_carry(cell.init(key), ()), jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(carry)) == STATES[name]


MISTAKES = {
    "heads": (lambda: cells.slstm(3, 4, heads=3), "heads must divide hidden_size 4, got 3"),
    "heads_zero": (lambda: cells.mlstm(3, 4, heads=0), "heads must be a whole number of at least 1, got 0"),
    "radii": (lambda: cells.lru(3, 4, r_min=0.9, r_max=0.5), "0 <= r_min < r_max < 1, got 0.9 and 0.5"),
    "phase": (lambda: cells.lru(3, 4, max_phase=7.0), r"max_phase must be in \(0, 2 pi\], got 7.0"),
    "beta": (lambda: cells.gated_deltanet(3, 4, beta_max=3.0), "beta_max must be above 0 and at most 2, got 3.0"),
    "convolution": (lambda: cells.rglru(3, 4, convolution=-1), "convolution must be .* at least 0, got -1"),
    "oscillator": (lambda: cells.cornn(3, 4, dt=0.0), "dt and gamma above 0 .* got 0.0"),
    "engine": (lambda: cells.lru(3, 4, recurrence="fused"), "one of auto, scan, associative, got 'fused'"),
    "engine_of_matrices": (lambda: cells.mlstm(3, 4, recurrence="fused"), "one of auto, scan, chunkwise, got 'fused'"),
    "forget": (lambda: cells.slstm(3, 4, forget="none"), "forget must be one of sigmoid, exponential, got 'none'"),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
