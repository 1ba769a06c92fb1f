"""Trainings side by side: each to its own end, with the numbers that it has alone."""

import jax
import numpy as np
import optax
import pytest

from lm_jax.cells import rnn
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import (
    History,
    LoopFunctions,
    Plan,
    Score,
    Training,
    build_train_steps,
    create_state,
    cross_entropy,
    fit,
    text_source,
)
from lm_jax.training.side_by_side import fit_side_by_side, in_turn, vmapped


MODEL = recurrent_lm(5, rnn(3, 4), dropout_rate=0.3)
ADAM = optax.adam(1e-2)
TOKENS = np.random.default_rng(0).integers(0, 5, 331).astype(np.int32)
SOURCE = text_source(Batches(TOKENS, 0, 4, 6), MODEL)  # 14 steps an epoch
TRAIN_STEPS = build_train_steps(cross_entropy(MODEL), SOURCE, ADAM)


def training(seed, patience, saved, history=None):
    """Reports at steps of its own; validations every four, the first the best; patience n ends it at step 4 (n + 1)."""

    def save(state, history, valid_loss):
        saved.setdefault(seed, []).append((int(state.step), history.misses))

    plan = Plan(steps=30, log_every=5 + seed, eval_every=4, patience=patience, decay_factor=0.5)
    functions = LoopFunctions(lambda params: Score(1.0, {}, ""), save)
    state = create_state(MODEL.init, SOURCE, ADAM, seed)
    return Training(state, SOURCE, plan, functions, lambda step: 1e-2, history=history)


def as_numbers(state):
    return jax.tree.map(np.asarray, state.replace(key=jax.random.key_data(state.key)))


PATIENCE = {0: 1, 1: 4, 2: None}  # by seed: over after 8, 20 and 30 steps


@pytest.mark.parametrize(("advance", "tolerance"), [(in_turn, 0.0), (vmapped, 1e-5)], ids=["in_turn", "vmapped"])
def test_each_goes_to_its_own_end_as_if_alone(advance, tolerance):
    saved, saved_alone, counts, over = {}, {}, [], []
    trainings = [training(seed, patience, saved) for seed, patience in PATIENCE.items()]
    advance = advance(TRAIN_STEPS)
    fit_side_by_side(trainings, advance, lambda count, seconds: counts.append(count), over.append)
    assert [int(one.state.step) for one in trainings] == [8, 20, 30]
    assert [one.history.finished for one in trainings] == [True, True, False]
    assert over == [0, 1, 2] and sum(counts) == 30
    for seed, (patience, one) in enumerate(zip(PATIENCE.values(), trainings, strict=True)):
        alone = training(seed, patience, saved_alone)
        fit(alone, TRAIN_STEPS)
        assert alone.history == one.history
        pair = as_numbers(one.state), as_numbers(alone.state)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), *pair)
    assert saved == saved_alone
    assert (trainings[0].state.params.w_out != trainings[1].state.params.w_out).any()


def test_one_that_was_over_before_does_not_hold_the_others_up():
    saved, over = {}, []
    trainings = [training(0, 1, saved, History(finished=True)), training(1, 1, saved)]
    fit_side_by_side(trainings, in_turn(TRAIN_STEPS), lambda count, seconds: None, over.append)
    assert [int(one.state.step) for one in trainings] == [0, 8] and over == [0, 1]
