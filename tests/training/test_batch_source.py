"""Batches of a task's own, without a carry: they train, and steps are the same however they are divided."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.cells import rnn
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import (
    Listener,
    LoopFunctions,
    Plan,
    Score,
    Training,
    build_train_steps,
    chunk_source,
    create_state,
    fit,
    text_source,
)
from tests.training import parity


ADAM = optax.adam(0.03)


def as_numbers(state):
    return jax.tree.map(np.asarray, state.replace(key=jax.random.key_data(state.key)))


def assert_identical(one, other):
    jax.tree.map(np.testing.assert_array_equal, as_numbers(one), as_numbers(other))


def new_state(seed=0):
    return create_state(parity.init, parity.SOURCE, ADAM, seed)


TRAIN_STEPS = build_train_steps(parity.loss, parity.SOURCE, ADAM)


def trained(steps, log_every=7, reports=None):
    """A state after `steps`, trained by the loop with a report every `log_every`, which go to `reports`."""
    functions = LoopFunctions(lambda params: Score(1.0, {}, ""), save=lambda *_: None)
    plan = Plan(steps, log_every, eval_every=1000)
    listener = Listener()
    listener.on_report = [].append if reports is None else reports.append
    training = Training(new_state(), parity.SOURCE, plan, functions, lambda step: 0.03, listener=listener)
    fit(training, TRAIN_STEPS)
    return training.state


def test_a_task_without_a_carry_learns():
    reports = []
    state = trained(200, log_every=10, reports=reports)
    assert [report.step for report in reports] == list(range(10, 201, 10))
    assert reports[0].loss > 0.1 and reports[-1].loss < 0.02
    assert state.carry == ()


@pytest.mark.parametrize("division", [[1] * 5, [2, 3], [4, 0, 1]], ids=str)
def test_any_division_into_dispatches_gives_the_same_bits(division):
    """Over two epochs of five steps, whose batches differ."""
    states = []
    for counts in ([5], division):
        state = new_state()
        for number, count in itertools.product(range(2), counts):
            state = TRAIN_STEPS(state, jnp.asarray(parity.epoch(number)), count)
        states.append(state)
    assert int(states[0].step) == 10
    assert_identical(*states)


def test_the_loop_takes_every_batch_of_every_epoch_once():
    """It has the bits of whole epochs in one dispatch each, which start anew at their first batch."""
    given = parity.SOURCE._replace(batch=lambda params, strings, carry, start, length: (carry, strings))
    single_step = build_train_steps(parity.loss, given, ADAM)
    by_hand, in_epochs, batches = new_state(), new_state(), []
    for number, count in enumerate((5, 5, 3)):
        strings = jnp.asarray(parity.epoch(number))
        in_epochs = TRAIN_STEPS(in_epochs, strings, count)
        for bits in strings[:count]:
            batches.append(np.asarray(bits).tobytes())
            by_hand = single_step(by_hand, bits, 1)
    assert len(set(batches)) == 13
    state = trained(13, log_every=1000)
    assert_identical(state, in_epochs)
    assert int(state.position) == 3 and int(state.totals.tokens) == 13 * parity.B
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), state.params, by_hand.params)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_batches_without_a_carry_are_accumulated(parts):
    """The noise is each part's own, and small: parts that were added up wrongly would differ by far more."""
    sgd = optax.sgd(0.1)
    one, other = (
        build_train_steps(parity.loss, parity.SOURCE, sgd, accumulate=n)(
            create_state(parity.init, parity.SOURCE, sgd, 0), jnp.asarray(parity.epoch(0)), 1
        )
        for n in (1, parts)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), one.params, other.params)
    assert np.abs(one.params["v"] - parity.init(jax.random.split(jax.random.key(0))[0])["v"]).max() > 0.01
    assert int(one.totals.tokens) == int(other.totals.tokens) == parity.B


def test_lengths_are_in_proportion_to_the_usual_one():
    """A batch that is twice the usual length has twice the learning rate, for any source."""
    changes = []
    for usual in (1, 2):
        source, sgd = parity.SOURCE._replace(usual_length=usual), optax.sgd(0.1)
        before = create_state(parity.init, source, sgd, 0)
        params = jax.tree.map(np.asarray, before.params)
        after = build_train_steps(parity.loss, source, sgd)(before, jnp.asarray(parity.epoch(0)), 1, length=1)
        changes.append(np.asarray(after.params["v"]) - params["v"])
    np.testing.assert_allclose(changes[0], 2 * changes[1], rtol=1e-3, atol=1e-6)
    assert np.abs(changes[0]).max() > 1e-3


MODEL = recurrent_lm(5, rnn(3, 4))


def test_the_source_of_a_text_is_that_of_its_batches():
    batches = Batches(np.random.default_rng(0).integers(0, 5, 331).astype(np.int32), 0, 4, 6, random_bptt=True)
    source = text_source(batches, MODEL)
    assert (source.steps_per_epoch, source.usual_length) == (batches.steps_per_epoch, 6)
    assert source.targets_per_epoch == 331
    jax.tree.map(np.testing.assert_array_equal, source.epoch(1), batches.epoch(1))
    np.testing.assert_array_equal(source.lengths(1), batches.chunk_lengths(1))
    params = MODEL.init(jax.random.key(0))
    assert source.initial_carry(params).shape == (4, 4)


def test_chunks_without_a_text_have_no_epochs_of_their_own():
    source = chunk_source(MODEL, batch_size=4, bptt=6, steps_per_epoch=3)
    assert source.lengths(0).tolist() == [6, 6, 6] and source.targets_per_epoch == 72
    with pytest.raises(NotImplementedError, match="epoch 2"):
        source.epoch(2)
