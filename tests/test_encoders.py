"""Encoders: padding is never read, each direction is the recurrence of the row alone, and pooling keeps to the mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from lm_jax.cells import GRUParams, LSTMParams, RNNParams, drop_connect, gru, lstm, rnn, stacked
from lm_jax.encoders import POOLING, bidirectional, stacked_encoder, unidirectional
from lm_jax.errors import UserError
from lm_jax.models.recurrent import recurrent_lm
from tests.cases import MASK, B, T, assert_close, assert_identical
from tests.catalogue import entry, running_mean
from tests.oracles import recurrences


LENGTHS = np.array([6, 0, 4, 1])
RAGGED = np.arange(T)[:, None] < LENGTHS
# Between them: every form of cell, the fused unroll, and a start that is learnt, from both ends.
ENCODERS = {
    "unidirectional": unidirectional(running_mean(3, 4)),
    "bidirectional": bidirectional(lstm(3, 4, recurrence="fused"), running_mean(3, 2)),
    "stacked": stacked_encoder([bidirectional(rnn(3, 2), lstm(3, 3)), unidirectional(gru(5, 4, reset="before"))]),
}
XS = np.random.default_rng(2).normal(size=(T, B, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=ENCODERS)
def case(request):
    """(encoder, its parameters: biases are not zero)."""
    encoder = ENCODERS[request.param]
    return encoder, entry(encoder).make_params(jax.random.key(0))


def compiled(encoder):
    return jax.jit(encoder.encode)


def spoilt(values, mask):
    """NaN wherever the mask is False."""
    return np.where(mask[..., None], values, np.nan)


ORACLES = {"rnn": (rnn, recurrences.rnn), "gru": (gru, recurrences.gru_after), "lstm": (lstm, recurrences.lstm)}


@pytest.mark.parametrize("mask", [RAGGED, MASK], ids=["ragged", "holes"])
@pytest.mark.parametrize("name", ORACLES)
def test_each_direction_is_the_recurrence_over_the_valid_steps(name, mask):
    """In float64 numpy, row by row, from the equations."""
    factory, recurrence = ORACLES[name]
    encoder = bidirectional(factory(3, 4), factory(3, 5))
    params = entry(encoder).make_params(jax.random.key(1))

    def one_way(p, xs, size):
        start = np.zeros((1, size))
        double = {k: np.asarray(v, np.float64) for k, v in vars(p).items()}
        return recurrence(double, (start, start) if name == "lstm" else start, xs)[0][:, 0]

    expected = np.zeros((T, B, 9))
    for b in np.flatnonzero(mask.any(axis=0)):
        xs = XS[mask[:, b], b][:, None].astype(np.float64)
        expected[mask[:, b], b, :4] = one_way(params.forward, xs, 4)
        expected[mask[:, b], b, 4:] = one_way(params.backward, xs[::-1], 5)[::-1]
    ys = compiled(encoder)(params, XS, mask=mask)
    np.testing.assert_allclose(ys, expected, rtol=0, atol=1e-6)
    assert np.all(np.asarray(ys)[~mask] == 0.0)


def simple_params(p):
    return RNNParams(p["i"]["kernel"], p["h"]["kernel"], p["i"]["bias"])


def gru_params(p):
    i, h = [p[f"i{gate}"] for gate in "rzn"], [p[f"h{gate}"] for gate in "rzn"]
    return GRUParams(side_by_side(i, "kernel"), side_by_side(h, "kernel"), side_by_side(i, "bias"), h[2]["bias"])


def lstm_params(p):
    i, h = [p[f"i{gate}"] for gate in "ifgo"], [p[f"h{gate}"] for gate in "ifgo"]
    return LSTMParams(side_by_side(i, "kernel"), side_by_side(h, "kernel"), side_by_side(h, "bias"))


def side_by_side(gates, name):
    return jnp.concatenate([gate[name] for gate in gates], axis=-1)


LINEN = {
    "rnn": (rnn, nn.SimpleCell, simple_params),
    "gru": (gru, nn.GRUCell, gru_params),
    "lstm": (lstm, nn.OptimizedLSTMCell, lstm_params),
}


@pytest.mark.parametrize("name", LINEN)
def test_equals_linen_bidirectional_on_ragged_rows(name):
    factory, linen_cell, convert = LINEN[name]
    layer = nn.Bidirectional(nn.RNN(linen_cell(4)), nn.RNN(linen_cell(4)), time_major=True)
    shapes = jax.eval_shape(layer.init, jax.random.key(0), XS)
    generator = np.random.default_rng(3)
    variables = jax.tree.map(lambda s: generator.normal(size=s.shape).astype(np.float32) / 2, shapes)
    expected = layer.apply(variables, XS, seq_lengths=LENGTHS)

    encoder, p = bidirectional(factory(3, 4), factory(3, 4)), variables["params"]
    params = jax.tree.unflatten(
        jax.tree.structure(jax.eval_shape(encoder.init, jax.random.key(0))),
        jax.tree.leaves([convert(p["forward_rnn"]["cell"]), convert(p["backward_rnn"]["cell"])]),
    )
    ys = np.asarray(compiled(encoder)(params, XS, mask=RAGGED))
    np.testing.assert_allclose(ys[RAGGED], np.asarray(expected)[RAGGED], rtol=0, atol=1e-6)


def test_more_padding_changes_nothing(case):
    encoder, params = case
    more = np.concatenate([XS, 9 * XS[:3]])
    ys = compiled(encoder)(params, XS, mask=RAGGED)
    padded = compiled(encoder)(params, more, mask=np.concatenate([RAGGED, np.zeros((3, B), bool)]))
    np.testing.assert_allclose(padded[:T], ys, rtol=0, atol=1e-6)
    assert np.all(np.asarray(padded[T:]) == 0.0)


def test_a_padded_row_equals_the_row_alone(case):
    encoder, params = case
    ys = compiled(encoder)(params, XS, mask=RAGGED)
    assert_close(ys[:, 0], compiled(encoder)(params, XS[:, 0]), 1e-6)
    assert_close(ys[:4, 2], compiled(encoder)(params, XS[:4, 2]), 1e-6)


@pytest.mark.parametrize("mask", [RAGGED, MASK], ids=["ragged", "holes"])
def test_what_stands_at_masked_steps_is_not_read(case, mask):
    encoder, params = case
    encode = compiled(encoder)
    assert_identical(encode(params, spoilt(XS, mask), mask=mask), encode(params, XS, mask=mask))


def test_no_gradient_comes_from_masked_steps(case):
    encoder, params = case
    weights = np.random.default_rng(4).normal(size=(T, B, encoder.output_size)).astype(np.float32)

    @jax.jit
    def gradient(xs, mask):
        return jax.grad(lambda p, xs: jnp.sum(weights * encoder.encode(p, xs, mask=mask)), (0, 1))(params, xs)

    d_params, d_xs = gradient(spoilt(XS, RAGGED), RAGGED)
    assert np.all(np.asarray(d_xs)[~RAGGED] == 0.0) and np.all(np.any(np.asarray(d_xs)[RAGGED] != 0.0, axis=-1))
    assert_identical((d_params, d_xs), gradient(XS, RAGGED))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(d_params))


def test_the_gradient_is_that_of_the_rows_alone():
    encoder = ENCODERS["bidirectional"]
    params = entry(encoder).make_params(jax.random.key(0))

    def padded(params):
        return jnp.sum(jnp.cos(encoder.encode(params, XS, mask=RAGGED)) * RAGGED[..., None])

    def alone(params):
        return sum(jnp.sum(jnp.cos(encoder.encode(params, XS[:n, b]))) for b, n in enumerate(LENGTHS) if n)

    assert_close(jax.jit(jax.grad(padded))(params), jax.jit(jax.grad(alone))(params), 1e-5)


@pytest.mark.parametrize("shape", [(0, 2), (1, 0), pytest.param((0, 0), marks=pytest.mark.slow)], ids=str)
def test_nothing_to_read(case, shape):
    """No step, no row: outputs without entries, and gradients of zero."""
    encoder, params = case
    xs, mask = np.zeros((*shape, 3), np.float32), np.zeros(shape, bool)

    def total(params, mask):
        ys = encoder.encode(params, xs, mask=mask)
        return jnp.sum(ys), ys

    for given in (None, mask):
        gradient, ys = jax.jit(jax.grad(total, has_aux=True))(params, given)
        assert ys.shape == (*shape, encoder.output_size)
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


def test_any_batch_axes(case):
    encoder, params = case
    ys = compiled(encoder)(params, XS, mask=MASK)
    grid = compiled(encoder)(params, XS.reshape(T, 2, 2, 3), mask=MASK.reshape(T, 2, 2))
    assert_close(grid.reshape(ys.shape), ys, 1e-6)
    assert_close(compiled(encoder)(params, XS[:, 2], mask=MASK[:, 2]), ys[:, 2], 1e-6)
    assert ys.shape == (T, B, encoder.output_size)


def test_the_same_shapes_trace_once(case):
    encoder, params = case
    traces = []

    @jax.jit
    def encode(params, xs, mask):
        traces.append(1)
        return encoder.encode(params, xs, mask=mask)

    for mask in (RAGGED, MASK, ~RAGGED):
        encode(params, XS, mask)
    assert len(traces) == 1


def test_factories_give_the_same_encoder_again():
    both = [bidirectional(gru(3, 4), gru(3, 4)), unidirectional(lstm(8, 2))]
    assert stacked_encoder(both) is stacked_encoder([bidirectional(gru(3, 4), gru(3, 4)), unidirectional(lstm(8, 2))])


def test_only_a_bidirectional_encoder_looks_right():
    later = XS.copy()
    later[4:] += 1
    for name, looks in (("unidirectional", False), ("bidirectional", True), ("stacked", True)):
        encoder = ENCODERS[name]
        params = entry(encoder).make_params(jax.random.key(0))
        before, after = (np.asarray(compiled(encoder)(params, xs))[:4] for xs in (XS, later))
        assert np.any(before != after) == looks


def test_directions_have_weights_and_randomness_of_their_own():
    cell = drop_connect(gru(3, 4), 0.5)
    encoder = bidirectional(cell, cell)
    params = encoder.init(jax.random.key(0))
    assert np.any(params.forward.w_x != params.backward.w_x)
    palindrome = np.concatenate([XS[:3], XS[2::-1]])
    same = params.replace(backward=params.forward)
    for key in (None, jax.random.key(1)):
        forward, backward = np.split(np.asarray(compiled(encoder)(same, palindrome, key=key)), 2, axis=-1)
        assert np.array_equal(forward, backward[::-1]) == (key is None)


def test_pooling_over_the_valid_steps_of_every_row():
    ys = np.random.default_rng(5).normal(size=(T, B, 3)).astype(np.float32) - 2  # a padded 0 would be the largest
    expected = {"last": lambda v: v[-1], "mean": lambda v: v.mean(axis=0), "max": lambda v: v.max(axis=0)}
    assert POOLING.keys() == expected.keys()
    for name, pool in POOLING.items():
        for mask in (RAGGED, MASK, MASK & (np.arange(T)[:, None] < 4), np.ones((T, B), bool)):
            rows = [expected[name](ys[mask[:, b], b]) if mask[:, b].any() else np.zeros(3) for b in range(B)]
            np.testing.assert_allclose(pool(ys, mask), np.stack(rows), rtol=0, atol=1e-6)
        np.testing.assert_array_equal(pool(ys), pool(ys, np.ones((T, B), bool)))
        assert np.all(pool(ys[:0], RAGGED[:0]) == 0.0)


@pytest.mark.parametrize("name", POOLING)
def test_pooling_ignores_masked_steps_exactly(name):
    ys = np.random.default_rng(6).normal(size=(T, B, 3)).astype(np.float32)

    @jax.jit
    def pooled(ys):
        return POOLING[name](ys, MASK), jax.grad(lambda ys: jnp.sum(POOLING[name](ys, MASK) ** 2))(ys)

    clean, dirty = pooled(ys), pooled(spoilt(ys, MASK))
    assert_identical(dirty, clean)
    assert np.isfinite(clean[1]).all() and np.all(np.asarray(clean[1])[~MASK] == 0.0) and np.any(clean[1])
    padded = POOLING[name](np.concatenate([ys, ys]), np.concatenate([MASK, np.zeros_like(MASK)]))
    np.testing.assert_allclose(padded, clean[0], rtol=0, atol=1e-6)


def test_a_language_model_refuses_an_encoder():
    for name in ("bidirectional", "unidirectional"):
        with pytest.raises(UserError, match="an encoder may look right, where it sees the token that it has to pred"):
            recurrent_lm(5, ENCODERS[name])
        with pytest.raises(UserError, match=r"which read from left to right .*, got Encoder as layer 1"):
            recurrent_lm(5, stacked([gru(3, 3), ENCODERS[name]]))


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match="must have the same input_size, got 3 and 4"):
        bidirectional(gru(3, 4), gru(4, 4))
    with pytest.raises(UserError, match=r"layer 1 .* must have input_size 8, got 4"):
        stacked_encoder([bidirectional(gru(3, 4), gru(3, 4)), unidirectional(gru(4, 4))])
    with pytest.raises(UserError, match="at least one encoder"):
        stacked_encoder([])
    for make in (
        unidirectional,
        lambda given: bidirectional(given, gru(3, 4)),
        lambda given: bidirectional(gru(3, 4), given),
    ):
        with pytest.raises(UserError, match=r"direction of an encoder is a Cell .*, got Encoder"):
            make(ENCODERS["bidirectional"])
    with pytest.raises(UserError, match=r"is made of Encoders .*, got Cell"):
        stacked_encoder([gru(3, 4)])
    encoder = ENCODERS["unidirectional"]
    params = encoder.init(jax.random.key(0))
    for mask in (RAGGED.T, RAGGED.astype(np.float32)):
        with pytest.raises(UserError, match=r"must be bool \(6, 4\) \(time, batch\), got"):
            encoder.encode(params, XS, mask=mask)
    with pytest.raises(UserError, match="must be bool"):
        POOLING["mean"](XS, LENGTHS)
