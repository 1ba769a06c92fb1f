"""Networks of the studies of recurrences: sizes and states; their problems: answers looked up one by one."""

import functools
import itertools

import jax
import numpy as np
import pytest

from experiments.recurrences.architectures import (
    CONTEXT,
    HEADS,
    NETWORKS,
    TWELVE,
    build,
    chosen,
    hidden_size,
    parameters,
    state_size,
)
from experiments.recurrences.learning import Plan, learn, predict
from experiments.recurrences.recall import KEYS, PAIRS, draw, tell
from experiments.recurrences.state_tracking import SHORTEST, TASKS, lesson
from experiments.recurrences.state_tracking import draw as draw_state
from experiments.recurrences.state_tracking_findings import SEEN


UNITS = 16
OF_A_HEAD = UNITS // HEADS
STATES = {  # of one layer, counted from the papers' equations
    "rnn": UNITS,
    "gru": UNITS,
    "lstm": 2 * UNITS,  # h, c
    "mingru": UNITS,
    "minlstm": UNITS,
    "lru": 2 * UNITS,  # a complex number a unit
    "rglru": UNITS,
    "slstm": 3 * UNITS,  # h, and c, n, m, of which two are independent
    "mlstm": HEADS * (OF_A_HEAD**2 + OF_A_HEAD + 1),  # C, n, m
    "gated_deltanet_1": HEADS * OF_A_HEAD**2,
    "gated_deltanet": HEADS * OF_A_HEAD**2,
    "attention": 2 * (CONTEXT - 1) * UNITS,  # a key and a value of every step but the present one
    "cornn": 2 * UNITS,  # place and speed
    "diagonal_gru": UNITS,
    "diagonal_lstm": 2 * UNITS,
}


@pytest.mark.parametrize("network", NETWORKS)
def test_states_are_those_of_the_equations(network):
    assert state_size(build(network, 5, UNITS)) == 2 * STATES[network]


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_are_of_about_one_size(network):
    assert parameters(build(network, 2, hidden_size(network, 2, 20_000))) == pytest.approx(20_000, rel=0.15)


def test_the_twelve_are_compared_if_no_others_are_named():
    assert chosen([], smoke=False) == TWELVE and len(TWELVE) == 12 and "attention" in TWELVE
    assert chosen(["cornn"], smoke=False) == ["cornn"]
    with pytest.raises(SystemExit, match="transformer"):
        chosen(["transformer"], smoke=False)


def test_a_longer_cache_has_the_same_parameters_and_answers():
    """What learnt with a short cache is tested with a long one; within the short one's reach they are one model."""
    short, long = (build("attention", 3, 8, context=context) for context in (6, 20))
    params, tokens = short.init(jax.random.key(0)), jax.random.randint(jax.random.key(1), (6, 2), 0, 3)
    assert jax.tree.structure(params) == jax.tree.structure(long.init(jax.random.key(0)))
    answers = [np.asarray(predict(model, params, tokens)) for model in (short, long)]
    np.testing.assert_allclose(*answers, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_answers_follow_the_state(task):
    tokens, answers, asked = (np.asarray(a) for a in draw_state(task, 12, 5, jax.random.key(3)))
    assert asked.all() and tokens.max() < TASKS[task]
    for column, found in zip(tokens.T, answers.T, strict=True):
        for end in range(12):
            string = column[: end + 1].tolist()
            changes = sum(a != b for a, b in itertools.pairwise(string))
            expected = {"parity": string.count(1) % 2, "sum modulo 5": sum(string) % 5, "even pairs": changes % 2 == 0}
            assert found[end] == expected[task]


def test_recall_asks_for_every_key_once():
    tokens, answers, asked = (np.asarray(a) for a in tell(8, 3, jax.random.key(0)))
    assert tokens.shape == (24, 3) and (asked[:16] == 0).all() and (asked[16:] == 1).all()
    for column, found in zip(tokens.T, answers.T, strict=True):
        told = dict(zip(column[:16:2].tolist(), column[1:16:2].tolist(), strict=True))
        assert len(told) == 8 and max(told) < KEYS <= min(told.values())
        assert sorted(told) == sorted(column[16:].tolist())
        assert [told[key] for key in column[16:].tolist()] == found[16:].tolist()


def test_batches_of_recall_have_all_numbers_of_pairs():
    make = jax.jit(lambda key: draw(2, key).asked.sum() / 2)
    assert {int(make(jax.random.key(seed))) for seed in range(40)} == set(PAIRS)


def test_lessons_ask_of_every_string_up_to_a_length_of_its_own():
    tokens, answers, asked = (np.asarray(a) for a in lesson("parity", 500, jax.random.key(0)))
    lengths = asked.sum(axis=0)
    assert tokens.shape == (SEEN, 500) and set(lengths) == set(range(SHORTEST, SEEN + 1))
    assert (asked == (np.arange(SEEN)[:, None] < lengths)).all() and (answers == tokens.cumsum(axis=0) % 2).all()


def bits(key):
    return draw_state("even pairs", 6, 16, key)


def test_learning_lowers_the_loss_and_draws_anew():
    seen = list(learn(build("gru", 2, 8), [bits], Plan(60, 20), [0]))
    assert [step for step, *_ in seen] == [20, 40, 60]
    assert seen[-1][2] < seen[0][2]


def test_seeds_learn_together_as_they_do_alone():
    model = build("gru", 2, 8)
    together, alone = (list(learn(model, [bits], Plan(20, 10), seeds)) for seeds in ([3, 5], [5]))
    np.testing.assert_allclose(together[-1][2][1], alone[-1][2][0], rtol=1e-4)
    assert abs(together[-1][2][0] - together[-1][2][1]) > 1e-3


def test_lessons_come_one_after_the_other_with_equal_shares():
    def only(answer, key):
        problem = bits(key)
        return problem._replace(tokens=problem.tokens * 0, answers=problem.answers * 0 + answer)

    draws = [functools.partial(only, answer) for answer in (1, 2)]
    plan, model = Plan(80, 20, rate=0.1, decay=0.0), build("gru", 3, 8)
    sure = [
        np.asarray(
            jax.nn.softmax(predict(model, jax.tree.map(lambda a: a[0], params), bits(jax.random.key(0)).tokens * 0))
        )
        for _, params, _ in learn(model, draws, plan, [0])
    ]
    assert sure[1][..., 1].min() > 0.9 and sure[3][..., 2].min() > 0.9
