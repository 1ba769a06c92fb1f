"""The optimiser's chain: clipping by the global norm, the methods, and the learning rates."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.config import OptimizerConfig, from_flat
from lm_jax.training import build_optimizer, build_schedule


PARAMS = {"w": jnp.asarray([[1.0, -2.0], [3.0, 0.5]]), "b": jnp.asarray([0.25, -4.0])}
GRADS = {"w": jnp.asarray([[3.0, 0.0], [-1.0, 2.0]]), "b": jnp.asarray([1.0, -1.0])}  # norm 4


def first_update(config, grads=GRADS):
    """What the chain of a configuration adds to PARAMS at its first step."""
    optimizer = build_optimizer(config, build_schedule(config, 100))
    return optimizer.update(grads, optimizer.init(PARAMS), PARAMS)[0]


def config(**settings):
    return from_flat(OptimizerConfig, {"optimizer": "sgd", "learning_rate": 0.1, "schedule": "constant", **settings})


def scaled(tree, factor):
    return jax.tree.map(lambda leaf: factor * leaf, tree)


def assert_close(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), actual, expected)


@pytest.mark.parametrize("clip", [0.1, 1.0, 3.99])
def test_clipping_bounds_the_norm_and_keeps_the_direction(clip):
    update = first_update(config(clip=clip))
    assert float(optax.tree.norm(update)) == pytest.approx(0.1 * clip, rel=1e-6)
    assert_close(update, scaled(GRADS, -0.1 * clip / 4))


@pytest.mark.parametrize("clip", [4.01, 100.0, None])
def test_short_gradients_are_left_as_they_are(clip):
    assert_close(first_update(config(clip=clip)), scaled(GRADS, -0.1))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_method_sees_the_clipped_gradient(optimizer):
    """Scales of 1e-6: the size of a gradient is lost on adam, but for its epsilon of 1e-8."""
    clipped = scaled(GRADS, 1e-6 / 4)
    update = first_update(config(optimizer=optimizer, clip=1e-6))
    assert_close(update, first_update(config(optimizer=optimizer, clip=None), clipped))
    unclipped = first_update(config(optimizer=optimizer, clip=None))
    assert float(optax.tree.norm(jax.tree.map(jnp.subtract, update, unclipped))) > 1e-4


def test_adam_by_hand():
    """The first step of Adam is -rate * g / (|g| + epsilon)."""
    update = first_update(config(optimizer="adam", clip=None))
    assert_close(update, jax.tree.map(lambda g: -0.1 * g / (jnp.abs(g) + 1e-8), GRADS))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weight_decay(optimizer):
    """adamw takes rate x decay x parameter off, whatever the gradient; without a decay nobody does."""
    nothing = jax.tree.map(jnp.zeros_like, GRADS)
    decay = 0.5 if optimizer == "adamw" else 0.0
    assert_close(first_update(config(optimizer=optimizer, weight_decay=decay), nothing), scaled(PARAMS, -0.1 * decay))


def rates(steps, decay_steps=100, **settings):
    schedule = build_schedule(config(learning_rate=2.0, **settings), decay_steps)
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_constant_rates(schedule):
    assert rates([0, 1, 99, 5000], schedule=schedule) == [2.0] * 4


@pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine"])
def test_warm_up_is_linear_from_zero_to_the_peak(schedule):
    assert rates([0, 1, 5, 10], schedule=schedule, warmup_steps=10) == pytest.approx([0.0, 0.2, 1.0, 2.0])


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_after_the_warm_up_the_rate_stays(schedule):
    assert rates([10, 11, 5000], schedule=schedule, warmup_steps=10) == [2.0] * 3


@pytest.mark.parametrize("warmup", [0, 20])
@pytest.mark.parametrize("given", [None, 60])
def test_cosine_falls_to_a_tenth(warmup, given):
    """From the peak after the warm-up to the end, which the configuration may say and the run's length otherwise."""
    end = given or 100
    steps = [warmup, (warmup + end) // 2, end - 1, end, end + 1, 10 * end]

    def by_hand(step):
        share = min(1.0, (step - warmup) / (end - warmup))
        return 0.2 + 1.8 * 0.5 * (1 + math.cos(math.pi * share))

    schedule = build_schedule(
        config(learning_rate=2.0, schedule="cosine", warmup_steps=warmup, decay_steps=given), decay_steps=100
    )
    assert [float(schedule(step)) for step in steps] == pytest.approx([by_hand(step) for step in steps], rel=1e-5)
    assert by_hand(warmup) == 2.0 and by_hand(end) == pytest.approx(0.2)


def test_a_warm_up_longer_than_the_run_never_falls():
    assert rates([0, 50, 99], schedule="cosine", warmup_steps=200) == pytest.approx([0.0, 0.5, 0.99])
