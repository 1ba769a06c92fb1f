"""Averages of weights against loops in numpy, the trigger of NT-ASGD, and what a checkpoint makes of them."""

import functools
import random

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.cells import rnn
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import (
    Checkpoints,
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
from lm_jax.training.averaging import ema, has_stalled, running_mean, start, trigger


MODEL = recurrent_lm(5, rnn(3, 4))
SGD = optax.sgd(0.5)
SOURCE = text_source(Batches(np.random.default_rng(0).integers(0, 5, 330).astype(np.int32), 0, 4, 6), MODEL)
PATH = [
    {"a": np.float32(generator.normal(size=3)), "b": np.float32(generator.normal(size=(2, 2)))}
    for generator in map(np.random.default_rng, range(30))
]


def averaged_state(seed=0):
    return create_state(MODEL.init, SOURCE, SGD, seed, averaged=True)


def averages(update, average):
    """The averages after each of the parameters of PATH."""
    update = jax.jit(update)
    for params in PATH:
        average = update(average, params)
        yield average


def assert_close(tree, expected):
    """Numbers up to ten, after some thirty operations in float32."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), tree, expected)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 1.0])
def test_the_moving_average_is_a_loop(decay):
    """At step n it keeps (1 + n) / (10 + n), from 2 / 11 on, until that is more than the decay."""
    expected = jax.tree.map(lambda p: p.astype(np.float64) + 7, PATH[0])
    for n, average in enumerate(averages(ema(decay), start(jax.tree.map(lambda p: p + 7, PATH[0]))), 1):
        keep = min(decay, (1 + n) / (10 + n))
        expected = jax.tree.map(lambda a, p, keep=keep: keep * a + (1 - keep) * p, expected, PATH[n - 1])
        assert_close(average.params, expected)
        assert int(average.count) == n


@pytest.mark.parametrize("waits", [0, 1, 10, 30])
def test_the_running_mean_is_that_of_all_steps_since_the_trigger(waits):
    """Before, it is the last parameters."""
    update, average = jax.jit(running_mean()), start(PATH[3])
    for n, params in enumerate(PATH):
        if n == waits:
            average = trigger(average)
        average = update(average, params)
        since = [params] if n < waits else PATH[waits : n + 1]
        assert_close(average.params, jax.tree.map(lambda *ps: np.mean(ps, axis=0, dtype=np.float64), *since))
        assert (int(average.count) == 0) == (n < waits)


def test_an_average_is_a_copy():
    """The parameters are donated at every step: their buffers must not be the average's."""
    state = averaged_state()
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((state.params, state.average.params))]
    assert len(set(pointers)) == len(pointers) and int(state.average.count) == 0


def stalled_by_merity(losses, nonmono):
    """The rule as AWD-LSTM's training script has it: compared with the best of all but the last `nonmono` before."""
    before, last = losses[:-1], losses[-1]
    return len(before) > nonmono and last > min(before[:-nonmono])


@pytest.mark.parametrize("nonmono", [1, 2, 5])
def test_when_a_loss_has_stalled(nonmono):
    generator, seen = random.Random(nonmono), set()
    for _ in range(300):
        losses = [generator.randint(1, 9) for _ in range(generator.randint(1, 12))]
        assert has_stalled(losses, nonmono) == stalled_by_merity(losses, nonmono)
        seen.add((len(losses) > nonmono + 1, has_stalled(losses, nonmono)))
    assert seen == {(False, False), (True, False), (True, True)}
    assert not has_stalled([], nonmono)


@pytest.mark.parametrize(
    ("losses", "stalled"),
    [
        ([3, 2, 1], False),
        ([1, 2], False),  # nothing lies more than one validation before
        ([1, 2, 3], True),
        ([1, 3, 1], False),  # as good as the best is not worse
        ([3, 1, 2], False),  # the best is too recent
        ([3, 1, 2, 2], True),
    ],
)
def test_when_a_loss_has_stalled_by_hand(losses, stalled):
    assert has_stalled(losses, 1) is stalled


@functools.cache
def train_steps(averaging):
    update = {"ema": ema(0.9), "ntasgd": running_mean(), "none": None}[averaging]
    return build_train_steps(cross_entropy(MODEL), SOURCE, SGD, update_average=update)


def test_the_loop_starts_the_mean_when_the_loss_has_stalled():
    """Validations after 2, 4, .. 12 steps; the fourth is worse than the best of those more than one before it."""
    losses, validated = iter([3.0, 2.0, 2.5, 2.2, 1.0, 4.0]), []
    streams = jax.tree.map(jnp.asarray, SOURCE.epoch(0))
    state, path = create_state(MODEL.init, SOURCE, SGD, 0), []
    for _ in range(12):
        state = train_steps("none")(state, streams, 1)
        path.append(jax.tree.map(np.asarray, state.params))

    def validate(params):
        validated.append(jax.tree.map(np.asarray, params))
        return Score(next(losses), {}, "")

    functions = LoopFunctions(validate, save=lambda *_: None)
    plan = Plan(steps=12, log_every=100, eval_every=2, nonmono=1)
    training = Training(averaged_state(), SOURCE, plan, functions, lambda step: 0.5)
    fit(training, train_steps("ntasgd"))
    state = training.state
    assert_close(state.params, path[-1])  # averaging does not change the way
    for step, params in zip(range(2, 13, 2), validated, strict=True):
        since = path[step - 1 : step] if step <= 8 else path[8:step]
        assert_close(params, jax.tree.map(lambda *ps: np.mean(ps, axis=0), *since))
    assert_close(state.evaluation_params, validated[-1])


@pytest.mark.parametrize("averaging", ["ema", "ntasgd"])
def test_a_checkpoint_is_loaded_with_the_average_and_resumed_without(averaging, tmp_path):
    streams = jax.tree.map(jnp.asarray, SOURCE.epoch(0))
    state = averaged_state()
    state = state.replace(average=trigger(state.average)) if averaging == "ntasgd" else state
    state = train_steps(averaging)(state, streams, 5)
    assert np.abs(state.params.w_out - state.evaluation_params.w_out).max() > 1e-3
    with Checkpoints(tmp_path) as states:
        states.save(state, {}, 2.0)
        loaded = states.load_params(jax.eval_shape(MODEL.init, jax.random.key(0)))
        restored, _ = states.restore_newest(averaged_state(seed=9))
    jax.tree.map(np.testing.assert_array_equal, loaded, state.average.params)
    jax.tree.map(np.testing.assert_array_equal, (restored.params, restored.average), (state.params, state.average))
    one, other = (train_steps(averaging)(s, streams, 3) for s in (state, restored))
    jax.tree.map(np.testing.assert_array_equal, (one.params, one.average), (other.params, other.average))
