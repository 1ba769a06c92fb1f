"""Context use against loops in numpy, and on cells whose memory is known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis import context_use
from lm_jax.cells import Cell, rnn, scan_unroll, stacked
from lm_jax.models import recurrent_lm
from lm_jax.models.recurrent import RecurrentLMParams
from tests import catalogue


V, M = 5, 3  # types, and the tokens that the remembering cell remembers
CONTEXTS = (1, 2, 4, 7)
RNN = recurrent_lm(V, rnn(3, 4))
RNN_PARAMS = jax.tree.map(lambda a: 4.0 * a, RNN.init(jax.random.key(1)))
TOKENS = np.random.default_rng(0).integers(V, size=(41, 2))


def remembering(traced: list) -> Cell:
    """Keeps the last M inputs, one-hot; the output is the circular convolution of the newest and the oldest."""

    def initial_carry(params, batch_shape):
        return {"last": jnp.zeros((*batch_shape, M, V)), "steps": jnp.zeros(batch_shape, jnp.int32)}

    def step(params, carry, x):
        traced.append(None)
        last = jnp.concatenate([carry["last"][..., 1:, :], x[..., None, :]], axis=-2)
        shifts = jnp.stack([jnp.roll(last[..., -1, :], v, axis=-1) for v in range(V)], axis=-1)
        return {"last": last, "steps": carry["steps"] + 1}, jnp.einsum("...vs,...s->...v", shifts, last[..., 0, :])

    return Cell(lambda key: {}, initial_carry, step, scan_unroll(initial_carry, step), V, V)


def counting() -> Cell:
    """Adds up its inputs and never forgets."""

    def step(params, carry, x):
        return carry + x, carry + x

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, 2))

    return Cell(lambda key: {}, initial_carry, step, scan_unroll(initial_carry, step), 2, 2)


def sums(length: int) -> np.ndarray:
    """A text in which each token is the sum of the last and the one M - 1 before it, modulo V."""
    tokens = [1, 0, 2]
    while len(tokens) < length:
        tokens.append((tokens[-1] + tokens[-M]) % V)
    return np.array(tokens)


def states_of(params, tokens, h):
    """The tanh RNN in float64: the state after each token."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    states = []
    for token in tokens:
        h = np.tanh(p.embedding[token] @ p.cell.w_x + h @ p.cell.w_h + p.cell.b)
        states.append(h)
    return states


def loss_of(params, h, target):
    """-log softmax(h W + b)[target] in float64."""
    logits = h @ np.asarray(params.w_out, np.float64) + np.asarray(params.b_out, np.float64)
    return np.log(np.sum(np.exp(logits - logits.max()))) + logits.max() - logits[target]


def test_every_loss_and_distance_against_a_loop():
    """Two columns that go on from a carry; the states elsewhere are those of the predictions half of them away."""
    before = 0.3 * np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    use = context_use(RNN, RNN_PARAMS, TOKENS, contexts=CONTEXTS, positions=9, carry=before)
    assert use.positions.shape == (9, 2) and len({tuple(p) for p in use.positions}) == 9
    assert use.positions[:, 0].min() >= 7 and set(use.positions[:, 1]) == {0, 1}
    states = [states_of(RNN_PARAMS, TOKENS[:-1, b], before[b]) for b in range(2)]
    for k, (i, b) in enumerate(use.positions):
        there = use.positions[k - 9 // 2]
        starts = (states[there[1]][there[0]], np.zeros(4))
        target = TOKENS[i + 1, b]
        np.testing.assert_allclose(use.full[k], loss_of(RNN_PARAMS, states[b][i], target), rtol=1e-4)
        for s, start in enumerate(starts):
            for c, n in enumerate(CONTEXTS):
                h = states_of(RNN_PARAMS, TOKENS[i - n + 1 : i + 1, b], start)[-1]
                np.testing.assert_allclose(use.cut[s, c, k], loss_of(RNN_PARAMS, h, target), rtol=1e-4)
                apart = np.linalg.norm(h - states[b][i]) / np.linalg.norm(states[b][i])
                np.testing.assert_allclose(use.distance[s, c, k], apart, rtol=1e-3, atol=1e-5)


def test_costs_are_paired_differences():
    use = context_use(RNN, RNN_PARAMS, TOKENS, contexts=CONTEXTS, positions=9, shuffle_beyond=(2, 6))
    for row, start in enumerate(("elsewhere", "initial")):
        for (means, errors), losses, base in (
            (use.cost(start), use.cut[row], use.full),
            (use.order_cost(start), use.ordered[row], use.cut[row, -1]),
        ):
            differences = np.array([[a - b for a, b in zip(line, base, strict=True)] for line in losses])
            np.testing.assert_allclose(means, differences.sum(1) / 9)
            variances = ((differences - means[:, None]) ** 2).sum(1) / 8
            np.testing.assert_allclose(errors, np.sqrt(variances / 9))
        assert np.all(use.ordered[row, 1] == use.cut[row, -1])  # one token has one order
        assert np.any(use.ordered[row, 0] != use.cut[row, -1])


def test_a_memory_of_m_tokens_has_a_horizon_of_m():
    """Beyond M tokens neither the past nor its order matters, at all; within, both do. Traced once."""
    traced = []
    model = recurrent_lm(V, remembering(traced))
    params = RecurrentLMParams(embedding=np.eye(V), cell={}, w_out=5.0 * np.eye(V), b_out=np.zeros(V))
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
    contexts = tuple(range(1, 7))
    use = context_use(model, params, sums(80), contexts=contexts, positions=1000)
    right = np.log(1 + (V - 1) * np.exp(-5.0))
    np.testing.assert_allclose(use.full, right, rtol=1e-4)
    assert list(use.positions[:, 0]) == list(range(6, 79))  # fewer than 1,000: all of them
    for start, lost in (("elsewhere", 2.0), ("initial", np.log(V) - right)):
        assert use.horizon(start=start) == M
        means, errors = use.cost(start)
        assert np.all(means[M - 1 :] == 0) and np.all(errors[M - 1 :] == 0)
        assert np.all(means[: M - 1] > 0.99 * lost)
        assert np.all(use.caught(start)[M - 1 :] == 0) and np.all(use.caught(start)[: M - 1] > 0.5)
        assert use.shuffle_beyond == (1, 2, 3, 4, 5)
        means, errors = use.order_cost(start)
        assert np.all(means[M - 1 :] == 0) and np.all(means[: M - 1] > 1) and np.all(errors[: M - 1] > 0)
    np.testing.assert_allclose(use.cut[1, : M - 1], np.log(V), rtol=1e-5)
    np.testing.assert_array_equal(use.caught("initial"), [1, 1, 0, 0, 0, 0])
    assert use.horizon(share=1e9) == 1
    assert use._replace(cut=use.cut + 1).horizon() is None

    count = len(traced)
    context_use(model, params, sums(80)[::-1], contexts=contexts, positions=1000, seed=3)
    assert len(traced) == count
    context_use(model, params, sums(80), contexts=(2, 6), shuffle_beyond=(4,), positions=1000)
    assert len(traced) == count  # n is data


def test_a_horizon_is_followed_by_no_longer_context_that_costs():
    use = context_use(RNN, RNN_PARAMS, TOKENS, contexts=CONTEXTS, positions=9)
    costs = np.array([0.0, 0.5, 0.001, 0.02])[None, :, None] * np.ones((2, 1, 9))
    use = use._replace(full=np.full(9, 1.0), cut=1.0 + costs)
    assert (use.horizon(), use.horizon(0.03), use.horizon(0.6)) == (None, 4, 1)


def test_a_cell_that_never_forgets_stays_caught():
    """After n tokens the sum is n from the initial carry, and j + 1 + n from that after prediction j; it ought to be
    i + 1."""
    model = recurrent_lm(2, counting())
    params = jax.tree.map(jnp.ones_like, model.init(jax.random.key(0)))
    use = context_use(model, params, np.zeros(60, int), contexts=(1, 4, 10), positions=8, shuffle_beyond=())
    i = use.positions[:, 0]
    j = np.roll(i, 4)
    for c, n in enumerate((1, 4, 10)):
        np.testing.assert_allclose(use.distance[0, c], np.abs(j + n - i) / (i + 1), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(use.distance[1, c], 1 - n / (i + 1), rtol=1e-5)
        assert use.caught("initial")[c] == np.mean(2 * n < i + 1)
    assert use.ordered.shape == (2, 0, 8) and use.order_cost()[0].shape == (0,)


def test_streams_are_columns_of_one_text():
    text = np.random.default_rng(2).integers(V, size=83)
    model = recurrent_lm(V, stacked([rnn(3, 3), rnn(3, 2)]))
    params = model.init(jax.random.key(0))
    options = {"contexts": (1, 3), "positions": 20, "seed": 1}
    cut = context_use(model, params, text, streams=2, **options)
    columns = context_use(model, params, np.stack([text[:42], text[41:]], axis=1), **options)
    jax.tree.map(np.testing.assert_array_equal, cut, columns)
    assert not np.array_equal(
        cut.positions, context_use(model, params, text, streams=2, **{**options, "seed": 2}).positions
    )


def use_of(name="rnn_tanh", tokens=TOKENS, **options):
    """Of a model of the catalogue or of the RNN."""
    model = RNN if name == "rnn_tanh" else catalogue.MODELS[name].subject
    return context_use(model, RNN_PARAMS, tokens, **{"contexts": (1, 3), "positions": 4, **options})


MISTAKES = {
    "n-gram": (lambda: use_of("bigram_katz"), "this analysis needs a model with a recurrent network"),
    "short_text": (
        lambda: use_of(contexts=(1, 50)),
        "two predictions after more than 50 tokens, got .* 40 predictions",
    ),
    "one_prediction": (lambda: use_of(tokens=TOKENS[:5, 0]), "after more than 3 tokens, got a text of 4 predictions"),
    "one_token": (lambda: use_of(tokens=TOKENS[:1]), "at least two predictions.* got 0"),
    "unknown_id": (lambda: use_of(tokens=TOKENS + 1), "ids of a vocabulary of 5, got 1 to 5"),
    "no_context": (lambda: use_of(contexts=()), "contexts must be numbers of tokens, at least one, got none"),
    "falling": (lambda: use_of(contexts=(3, 1)), r"contexts must be numbers that rise, got 3 1"),
    "zero": (lambda: use_of(contexts=(0, 1)), "contexts must be a whole number of at least 1, got 0"),
    "beyond": (lambda: use_of(shuffle_beyond=(3,)), "shuffle_beyond must be below the longest context, 3, got 3"),
    "positions": (lambda: use_of(positions=0), "positions must be a whole number of at least 1, got 0"),
    "streams": (lambda: use_of(streams=2), r"streams must be parts of one text .* got 2 of a text \(41, 2\)"),
    "carry": (lambda: use_of(carry=jnp.zeros((1, 4))), r"the shapes \(2, 4\), got \(1, 4\)"),
    "start": (lambda: use_of().cost("zero"), "start must be one of elsewhere, initial, got 'zero'"),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message) as raised:
        mistake()
    assert "\n" not in str(raised.value)


def test_a_diverged_model_is_named():
    params = RNN_PARAMS.replace(b_out=jnp.full(V, jnp.nan))
    with pytest.raises(UserError, match="losses that are numbers"):
        context_use(RNN, params, TOKENS, contexts=CONTEXTS, positions=9, shuffle_beyond=())
