"""Steps that are no numbers: never applied, counted on the device, the same for any division into dispatches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.cells import rnn
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import build_train_steps, create_state, cross_entropy, text_source
from lm_jax.training.divergence import find_nonfinite
from lm_jax.training.recovery import (
    FAULTS,
    POLICIES,
    SPIKE_AFTER,
    Guard,
    Outcome,
    is_finite,
    judge,
    no_incidents,
    note,
)


EOL, BAD_TOKEN, STEPS = 0, 5, 12
TOKENS = np.random.default_rng(0).integers(0, 5, 331).astype(np.int32)
BAD_STEPS = (2, 3, 7)  # of the first twelve, from 0
TEXT = Batches(TOKENS, EOL, 4, 6, "stream")
MODEL = recurrent_lm(6, rnn(3, 4), dropout_rate=0.5)
ADAM = optax.chain(optax.clip_by_global_norm(0.05), optax.adam(1e-2))


def source():
    return text_source(TEXT, MODEL)


def epoch(bad=()):
    """The first epoch; the batches of some steps have a token that occurs nowhere else."""
    streams = jax.tree.map(np.array, TEXT.epoch(0))
    for step in bad:
        streams.tokens[6 * step + 2, 1] = BAD_TOKEN
    return jax.tree.map(jnp.asarray, streams)


def loss_times(factor):
    """Cross-entropy, times a factor in batches that have the bad token; the tally has the factor only if it is NaN."""
    plain = cross_entropy(MODEL)

    def loss(params, carry, chunk, key, whole=None):
        value, (carry, tally) = plain(params, carry, chunk, key, whole)
        times = jnp.where(jnp.any(chunk.inputs == BAD_TOKEN), factor, 1.0)
        nll = tally.nll * jnp.where(jnp.isnan(times), times, 1.0)
        return value * times, (carry, tally._replace(nll=nll))

    return loss


@functools.cache
def steps_of(policy=None, factor=jnp.nan):
    guard = None if policy is None else Guard(POLICIES[policy], lambda step: 1e-2, 0.05)
    return build_train_steps(loss_times(factor), source(), ADAM, clip=0.05, guard=guard)


def start(guarded=True):
    return create_state(MODEL.init, source(), ADAM, 0, guarded=guarded)


def go(train_steps, state, streams, end, most=100):
    """Steps up to `end`, at most so many a dispatch; a dispatch that ends early is gone on with."""
    while int(state.step) < end and not bool(state.incidents.stopped):
        before = int(state.step)
        state = train_steps(state, streams, min(most, end - before))
        assert int(state.step) > before
    return state


def numbers(state):
    return jax.tree.map(np.asarray, state.replace(key=jax.random.key_data(state.key)))


def assert_identical(a, b, names=None):
    a, b = (numbers(x) if names is None else [getattr(numbers(x), name) for name in names] for x in (a, b))
    jax.tree.map(np.testing.assert_array_equal, a, b)


SLOW = ("halve-lr", "stop")


@pytest.mark.parametrize("policy", [pytest.param(p, marks=[pytest.mark.slow] * (p in SLOW), id=p) for p in POLICIES])
def test_finite_steps_have_the_bits_that_they_have_without_a_guard(policy):
    expected = steps_of()(start(guarded=False), epoch(), STEPS)
    state = steps_of(policy)(start(), epoch(), STEPS)
    assert int(state.step) == STEPS  # in one dispatch
    names = ("params", "opt_state", "carry", "position", "step", "totals", "key", "learning_rate_scale")
    assert_identical(state, expected, names)
    assert int(state.incidents.skipped) == 0 and int(state.incidents.seen) == STEPS


def by_hand(bad, streams):
    """Steps without a guard, one by one, the host putting back what a bad one changed."""
    plain, state = steps_of(), start(guarded=False)
    for step in range(STEPS):
        kept = {name: jax.tree.map(jnp.copy, getattr(state, name)) for name in ("params", "opt_state", "carry")}
        totals = jax.tree.map(jnp.copy, state.totals)
        state = plain(state, streams, 1)
        if step in bad:
            state = state.replace(**kept, totals=totals._replace(steps=state.totals.steps))
    return state


def test_a_bad_step_changes_nothing_but_the_place_and_the_counters():
    streams = epoch(BAD_STEPS)
    state = go(steps_of("skip"), start(), streams, STEPS)
    names = ("params", "opt_state", "carry", "position", "step", "key")
    expected = by_hand(BAD_STEPS, streams)
    assert_identical(state, expected, names)
    assert float(state.totals.nll) == float(expected.totals.nll)
    assert (int(state.incidents.skipped), int(state.incidents.in_a_row), int(state.incidents.unreported)) == (3, 0, 3)
    assert bool(is_finite((state.params, state.opt_state, state.carry, state.totals)))


def test_a_dispatch_ends_with_the_bad_step():
    state = steps_of("skip")(start(), epoch(BAD_STEPS), STEPS)
    assert int(state.step) == BAD_STEPS[0] + 1 and FAULTS[int(state.incidents.fault)] == "loss"
    assert np.isnan(state.incidents.loss)


@pytest.mark.parametrize("policy", ["halve-lr", "tighten-clip"])
def test_any_division_into_dispatches_gives_the_same_bits(policy):
    streams = epoch(BAD_STEPS)
    expected = go(steps_of(policy), start(), streams, STEPS)
    for most in (1, 3):
        assert_identical(go(steps_of(policy), start(), streams, STEPS, most), expected)
    factor = {"halve-lr": "rate", "tighten-clip": "clip"}[policy]
    assert float(getattr(expected.incidents, factor)) == 0.5 ** len(BAD_STEPS)


def test_a_halved_rate_and_a_tightened_norm_are_half_the_step():
    """From the same state: SGD moves half as far."""
    sgd = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(0.1))
    moved = {}
    for policy, incidents in (
        ("skip", {}),
        ("halve-lr", {"rate": jnp.asarray(0.5)}),
        ("tighten-clip", {"clip": jnp.asarray(0.5)}),
    ):
        guard = Guard(POLICIES[policy], lambda step: 0.1, 1e-3)
        train_steps = build_train_steps(cross_entropy(MODEL), source(), sgd, clip=1e-3, guard=guard)
        state = create_state(MODEL.init, source(), sgd, 0, guarded=True)
        before = jax.tree.map(np.asarray, state.params)
        state = train_steps(state.replace(incidents=state.incidents._replace(**incidents)), epoch(), 1)
        moved[policy] = float(optax.tree.norm(jax.tree.map(jnp.subtract, state.params, before)))
    assert moved["skip"] == pytest.approx(1e-4, rel=1e-3)
    assert moved["halve-lr"] == pytest.approx(0.5e-4, rel=1e-3)
    assert moved["tighten-clip"] == pytest.approx(0.5e-4, rel=1e-3)


def test_an_infinite_norm_with_a_finite_loss_is_no_step():
    """Clipping would make zeros of it, and Adam's second moment infinite."""
    streams = epoch(BAD_STEPS)
    state = go(steps_of("skip", 1e25), start(), streams, STEPS)
    assert_identical(state, by_hand(BAD_STEPS, streams), ("params", "carry"))
    assert int(state.incidents.skipped) == len(BAD_STEPS) and FAULTS[int(state.incidents.fault)] == "gradient"
    assert np.isfinite(state.incidents.loss) and np.isinf(state.incidents.norm)
    assert int(state.totals.clipped) >= len(BAD_STEPS)


@pytest.mark.parametrize("value", [jnp.inf, jnp.nan])
@pytest.mark.parametrize("place", ["params", "mu", "nu", "carry"])
def test_no_step_is_made_from_a_state_that_is_not_finite(place, value):
    state = start()
    if place == "params":
        state = state.replace(params=state.params.replace(embedding=state.params.embedding.at[5, 1].set(value)))
    elif place == "carry":
        state = state.replace(carry=jax.tree.map(lambda c: c.at[2, 3].set(value), state.carry))
    else:
        clipping, (adam, schedule) = state.opt_state
        moments = getattr(adam, place)
        adam = adam._replace(**{place: moments.replace(b_out=moments.b_out.at[4].set(value))})
        state = state.replace(opt_state=(clipping, (adam, schedule)))
    named = find_nonfinite({"params": state.params, "opt_state": state.opt_state, "carry": state.carry})
    words = {"params": "params.embedding[5, 1]", "mu": "mu.b_out[4]", "nu": "nu.b_out[4]", "carry": "[2, 3]"}
    assert named.startswith(f"{value} in ") and named.endswith(words[place])
    after = steps_of("skip")(state, epoch(), 3)
    assert int(after.step) == 0


def outcome(nll=2.0, norm=1.0, carry=0.0, scale=1.0):
    return Outcome(*(jnp.asarray(x) for x in (nll, 1, norm, scale)), {"h": jnp.asarray([0.0, carry])})


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, "none"),
        ({"nll": np.inf, "norm": np.nan}, "loss"),
        ({"norm": np.inf}, "gradient"),
        ({"norm": np.nan, "carry": np.inf}, "gradient"),
        ({"carry": -np.inf}, "carry"),
        ({"norm": 1e18, "scale": 1e13}, "update"),
        ({"norm": 1e18}, "none"),
        ({"nll": 40.0}, "none"),
        ({"nll": 40.1}, "explosion"),
        ({"nll": 1e30, "norm": np.inf}, "gradient"),
    ],
)
def test_the_first_thing_that_is_no_number_is_named(changes, fault):
    guard = Guard(POLICIES["skip"], lambda step: 1.0)
    assert FAULTS[int(judge(guard, jnp.asarray(0), jnp.asarray(4.0), outcome(**changes)))] == fault


def test_what_an_explosion_is_beside_a_first_loss_that_is_small_or_missing():
    guard = Guard(POLICIES["skip"], lambda step: 1.0)
    named = {
        (first, loss): FAULTS[int(judge(guard, jnp.asarray(0), jnp.asarray(first), outcome(nll=loss)))]
        for first, loss in ((0.5, 9.9), (0.5, 10.1), (0.0, 1e9))
    }
    assert list(named.values()) == ["none", "explosion", "none"]


def counters_by_rule(policy, bad):
    """(rate, clip, stopped) by the words of the module."""
    rate, clip, row, stopped = 1.0, 1.0, 0, False
    for one in bad:
        row = row + 1 if one else 0
        rate *= 0.5 if one and (policy == "halve-lr" or (policy == "skip" and row % 3 == 0)) else 1.0
        clip *= 0.5 if one and policy == "tighten-clip" else 1.0
        stopped = stopped or row == (1 if policy == "stop" else 10)
    return rate, clip, stopped


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("bad", ["0110111", "1111110111", "1111111111", "0000"])
def test_the_decisions_of_each_policy(policy, bad):
    incidents = no_incidents()
    for one in bad:
        fault, nll = (jnp.asarray(1), np.nan) if one == "1" else (jnp.asarray(0), 2.0)
        incidents = note(POLICIES[policy], incidents, fault, outcome(nll=nll))
    found = float(incidents.rate), float(incidents.clip), bool(incidents.stopped)
    assert found == counters_by_rule(policy, [one == "1" for one in bad])
    assert int(incidents.skipped) == bad.count("1")
    assert np.isfinite(incidents.mean) and np.isfinite(incidents.variance)


def test_a_stopped_training_makes_no_steps():
    state = steps_of("stop")(start(), epoch(BAD_STEPS), STEPS)
    assert bool(state.incidents.stopped) and int(state.step) == BAD_STEPS[0] + 1
    assert int(steps_of("stop")(state, epoch(BAD_STEPS), STEPS).step) == BAD_STEPS[0] + 1


def test_a_spike_is_told_and_applied_and_noise_is_not():
    losses = 3.0 + 0.1 * np.random.default_rng(1).normal(size=2000)
    losses[1500:1502] = 5.0
    losses[50] = 9.0  # before there is a mean to compare with
    step = jax.jit(functools.partial(note, POLICIES["skip"]))
    incidents, spikes = no_incidents(), []
    for number, loss in enumerate(losses):
        incidents, before = step(incidents, jnp.asarray(0), outcome(nll=loss)), int(incidents.spikes)
        if int(incidents.spikes) > before:
            spikes.append(number)
    assert spikes == [1500, 1501] and SPIKE_AFTER < 1500 and int(incidents.skipped) == 0
