"""Going back to good states: every decision by a replay in Python, for any dispatches, and resumed from any save.

The model is one weight that climbs by what a batch says; from 10 on its losses are what the batch says, such as NaN:
weights that have exploded and are finite. Both sides round to float32 at the same places.
"""

import copy
import dataclasses
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.training import build_train_steps, create_state
from lm_jax.training.batch_source import BatchSource, one_a_step
from lm_jax.training.divergence import Diverged
from lm_jax.training.good_states import GoodStates
from lm_jax.training.history import History
from lm_jax.training.listener import Listener, Score
from lm_jax.training.loop import LoopFunctions, Training
from lm_jax.training.losses import Tally
from lm_jax.training.plan import Plan
from lm_jax.training.recovery import Guard, policy_of
from lm_jax.training.rollback import hold


LIMIT, EVAL, SAVE = 10.0, 6, 4
ALL = 1000


class Told(Listener):
    """Notes what is told of incidents, as JSON has it."""

    def __init__(self):
        self.lines = []

    def on_incident(self, incident):
        self.lines.append((incident.step, incident.fault, incident.in_a_row, incident.rate, incident.back_to))


def batches_of(data):
    """A source of one epoch whose batches are the columns of `data`: climb, loss, loss beyond the limit; the carry is
    the last climb."""

    def batch(params, epoch, carry, start, length):
        one = jax.lax.dynamic_slice_in_dim(epoch, start, 1, axis=1)
        return carry, one[None, :, 0]

    return BatchSource(
        steps_per_epoch=data.shape[1],
        epoch=lambda number: data.astype(np.float32),
        batch=batch,
        lengths=one_a_step(data.shape[1]),
        usual_length=1,
        targets_per_epoch=data.shape[1],
        initial_carry=lambda params: jnp.zeros((1,)),
    )


def loss(params, carry, batch, key, whole=None):
    climb, plain, beyond = batch[0]
    nll = jnp.where(params["w"] > LIMIT, beyond, plain)
    return -climb * params["w"] + 0 * nll, (climb[None], Tally(nll, jnp.ones((), int)))


@functools.cache
def steps_of(on_nonfinite, on_spike, count):
    """The jitted steps for epochs of so many."""
    guard = Guard(policy_of(on_nonfinite, on_spike), lambda step: 1.0, 1e9)
    return build_train_steps(loss, batches_of(np.zeros((3, count))), MOMENTUM, clip=1e9, guard=guard)


MOMENTUM = optax.sgd(1.0, momentum=0.5)


def valid_loss(w):
    return 1000.0 if w > 9 else 1 + abs(w - 6) / 8


def train(data, settings, most=ALL, saved=None, at=None):
    """Trains, at most so many steps a dispatch, from the checkpoint of a step if one is given; what it told, the last
    state, and all checkpoints: what is not kept is removed, as on disk."""
    on_nonfinite, on_spike, good = settings
    source, told = batches_of(data), Told()
    saved = {} if saved is None else {step: one for step, one in saved.items() if step <= at}
    state, history = create_state(lambda key: {"w": jnp.zeros(())}, source, MOMENTUM, 0, guarded=True), History()
    begin = jax.tree.map(jnp.copy, state)
    if at is not None:
        state, history = jax.tree.map(jnp.copy, saved[at][0]), History.from_record(json.loads(saved[at][1]))
    disk = set(saved) if at is None else {at, *saved[at][2]}

    def save(state, history, rank):
        step = int(state.step)
        saved[step] = (
            jax.tree.map(jnp.copy, state),
            json.dumps(history.to_record()),
            (*history.good, history.last_resort),
        )
        disk.clear()
        disk.update({step, *saved[step][2]})

    def read(step, like):
        return (
            jax.tree.map(jnp.copy, begin if step == 0 else saved[step][0])
            if step == 0 or step in disk & saved.keys()
            else None
        )

    functions = LoopFunctions(
        validate=lambda params: Score(valid_loss(float(params["w"])), {}, ""), save=save, read=read
    )
    policy = policy_of(on_nonfinite, on_spike)
    plan = Plan(data.shape[1], 5, EVAL, SAVE, policy=policy, good_states=good)
    training = Training(state, source, plan, functions, lambda step: 1.0, listener=told, history=history)
    try:
        while (request := training.request()) is not None:
            advance = steps_of(on_nonfinite, on_spike, data.shape[1])
            training.accept(advance(request.state, request.epoch, min(request.count, most)), 0.1)
    except Diverged:
        told.lines.append("over")
    return training, told.lines, saved


@dataclasses.dataclass
class Numbers:
    """What a run goes back with."""

    w: float = 0.0
    momentum: float = 0.0
    carry: float = 0.0
    losses: tuple = ()


def spike_of(losses, loss):
    """By the words of the README: over 8 deviations above the running mean, whose newest weighs 1 in 100."""
    mean = variance = 0.0
    for seen, one in enumerate(losses):
        one = min(one, mean + 8 * math.sqrt(variance)) if seen >= 200 else one
        share = max(1 / (seen + 1), 0.01)
        mean, variance = mean + share * (one - mean), (1 - share) * (variance + share * (one - mean) ** 2)
    return len(losses) >= 200 and loss > mean + 8 * math.sqrt(variance)


def replay(data, settings):
    """The policy in plain Python, step by step: (lines, the numbers at the end, the rate)."""
    on_nonfinite, on_spike, most = settings
    now, rate, row, lines = Numbers(), 1.0, 0, []
    ring, last, best = [], (0, Numbers()), math.inf

    def go_back(spike):
        nonlocal now
        found = ring.pop() if ring else None if spike else last
        if found is not None:
            now = copy.copy(found[1])
        return None if found is None else found[0]

    for step, (climb, plain, beyond) in enumerate(data.T, 1):
        value = beyond if now.w > LIMIT else plain
        first = now.losses[0] if now.losses else None
        fault = "loss" if not math.isfinite(value) else ""
        fault = fault or ("explosion" if first is not None and value > 10 * max(first, 1) else "")
        if fault:
            row, due = row + 1, False
            rate *= 0.5 if on_nonfinite == "halve-lr" or (on_nonfinite == "skip" and row % 3 == 0) else 1
            over = row == (1 if on_nonfinite == "stop" else 10)
            back = go_back(False) if row >= 3 and not over else None
            lines.append((step, fault, row, rate, back))
            if over:
                return [*lines, "over"], now, rate
        else:
            row, spike = 0, spike_of(now.losses, value)
            due = spike and on_spike == "rollback"
            momentum = np.float32(now.momentum / 2 + climb)
            now = Numbers(np.float32(now.w + rate * momentum), momentum, climb, (*now.losses, value))
            if spike:
                lines.append((step, "spike", 0, rate, go_back(True) if due else None))
        if step % EVAL == 0 or step % SAVE == 0:
            score = valid_loss(now.w) if step % EVAL == 0 else None
            first = now.losses[0] if now.losses else math.inf
            better = score is not None and score < best
            best = score if better else best
            if not row and not due and (score is None or score <= 10 * max(first, 1)):
                ring = [*ring, (step, copy.copy(now))][-most:]
                last = ring[-1] if better else last
    return lines, now, rate


def climbing(seed, steps=60, beyond=math.nan, speed=0.5):
    """Batches that climb by a quarter or more each, and odd ones that are no numbers anywhere."""
    draw = np.random.default_rng(seed)
    climb = speed * draw.integers(1, 4, steps)
    plain = 2 + draw.integers(0, 4, steps) / 16
    plain[draw.random(steps) < 0.05] = math.inf
    return np.stack([climb, plain, np.full(steps, beyond)])


def check(data, settings, most):
    training, lines, saved = train(data, settings, most)
    expected, numbers, rate = replay(data, settings)
    assert lines == expected
    state = training.state
    assert float(state.params["w"]) == numbers.w and float(state.carry[0]) == numbers.carry
    assert -float(state.opt_state[0].trace["w"]) == numbers.momentum
    assert float(state.incidents.rate) == rate and int(state.incidents.seen) == len(numbers.losses)
    skipped = int(state.incidents.skipped)
    assert int(state.step) - skipped - training.history.undone == len(numbers.losses)
    return state, lines, saved


@pytest.mark.parametrize("settings", [("skip", "report", 2), ("halve-lr", "report", 3), ("halve-lr", "report", 1)])
@pytest.mark.parametrize(("seed", "beyond"), [(0, math.nan), (1, 1e6)])
def test_exploded_weights_are_gone_back_from_by_the_policy(settings, seed, beyond):
    data = climbing(seed, beyond=beyond)
    state, lines, _ = check(data, settings, ALL)
    backs = [line[4] for line in lines if line[4] is not None]
    assert backs and float(state.params["w"]) < LIMIT + 4
    check(data, settings, 1 if seed else 3)


@pytest.mark.parametrize("settings", [("skip", "report", 2), ("halve-lr", "report", 3)])
def test_a_run_resumed_from_any_of_its_checkpoints_goes_back_to_the_same(settings):
    data = climbing(1)
    expected, lines, saved = train(data, settings)
    for at in sorted(saved)[:-1:3]:
        resumed, told, _ = train(data, settings, 3, saved, at)
        assert told == [line for line in lines if line[0] > at], at
        jax.tree.map(
            np.testing.assert_array_equal,
            *(jax.tree.map(np.asarray, t.state.replace(key=None)) for t in (resumed, expected)),
        )
        assert resumed.history == expected.history


def test_the_newest_leads_to_trouble_again_and_the_older_does_not():
    """By hand: the weight is 7.5 after six steps, and 10.4 after the eighth, which is saved without a validation."""
    climb = np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    data = np.stack([climb, np.full(15, 2.0), np.full(15, math.nan)])
    training, lines, saved = train(data, ("skip", "report", 2))
    weights = {step: float(one[0].params["w"]) for step, one in saved.items()}
    assert weights[6] == 7.53125 and weights[8] == 10.3828125
    assert lines == [
        (9, "loss", 1, 1, None),
        (10, "loss", 2, 1, None),
        (11, "loss", 3, 0.5, 8),
        (12, "loss", 4, 0.5, 6),
    ]
    assert float(training.state.params["w"]) == 7.53125 + 0.5 * (0.46875 / 2) * (1 + 1 / 2 + 1 / 4)


@pytest.mark.parametrize(("on_spike", "most"), [("report", ALL), ("rollback", ALL), ("rollback", 7)])
def test_spikes_are_gone_back_from_until_the_ring_is_empty(on_spike, most):
    draw = np.random.default_rng(3)
    data = np.stack([draw.integers(0, 2, 260) / 64, 2 + draw.integers(0, 4, 260) / 16, np.full(260, math.nan)])
    data[1, [210, 221, 222, 223, 224, 240]] = 8.0
    state, lines, saved = check(data, ("skip", on_spike, 2), most)
    spikes = [(line[0], line[4]) for line in lines]
    assert [step for step, _ in spikes] == [211, 222, 223, 224, 225, 241]
    if on_spike == "report":
        assert {back for _, back in spikes} == {None}
        return
    assert [back for _, back in spikes] == [210, 220, 216, None, None, 240]
    for at in (216, 222):
        resumed, told, _ = train(data, ("skip", on_spike, 2), most, saved, at)
        assert told == [line for line in lines if line[0] > at]
        assert float(resumed.state.params["w"]) == float(state.params["w"])


def test_several_processes_hold_nothing_and_go_on_without_going_back(monkeypatch):
    """None of them has a whole state. What was due is settled, or there would be no more steps."""
    source, history = batches_of(climbing(0)), History()
    state = create_state(lambda key: {"w": jnp.zeros(())}, source, MOMENTUM, 0, guarded=True)
    state = dataclasses.replace(state, incidents=state.incidents._replace(due=jnp.ones((), bool)))
    good = GoodStates(history, 2, lambda step, like: state)
    good.admit(3, best=True)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert hold(state) is None
    after, back = good.go_back(state, spike=False)
    assert back is None and not after.incidents.due and history.good == [3] and after.params is state.params
    monkeypatch.undo()
    assert hold(state) is not None and good.go_back(state, spike=False)[1] is not None and history.good == []


def test_nothing_is_gone_back_to_where_the_policy_is_to_stop():
    lines = train(climbing(0), ("stop", "report", 2))[1]
    assert lines == replay(climbing(0), ("stop", "report", 2))[0] and lines[-1] == "over" and len(lines) == 2


def test_batches_that_are_no_numbers_from_any_state_end_the_run_after_ten():
    data = climbing(2, 40)
    data[1:, 20:] = math.nan
    lines = train(data, ("skip", "report", 3))[1]
    assert lines == replay(data, ("skip", "report", 3))[0] and lines[-1] == "over"
    assert lines[-2][:3] == (30, "loss", 10)


def test_a_good_state_that_cannot_be_read_is_passed_over():
    """A damaged checkpoint, after a resume: the one before it is read."""
    settings = ("halve-lr", "report", 3)
    _, lines, saved = train(climbing(0), settings)
    backs = [(11, 8), (12, 6)]
    assert [(line[0], line[4]) for line in lines if line[4] is not None][:2] == backs and saved[8][2] == (4, 6, 8, 6)
    _, told, _ = train(climbing(0), settings, ALL, {step: one for step, one in saved.items() if step != 6}, 8)
    assert [(line[0], line[4]) for line in told if line[4] is not None][:2] == [(11, 8), (12, 4)]
