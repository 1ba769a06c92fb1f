"""States that go bad in memory: the training goes back, and its numbers do not depend on when that was noticed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.training import build_train_steps
from lm_jax.training.divergence import Diverged
from lm_jax.training.listener import Listener, Score
from lm_jax.training.loop import LoopFunctions, Training
from lm_jax.training.plan import Plan
from lm_jax.training.recovery import FAULTS, POLICIES, Guard
from tests.training.test_recovery import (
    ADAM,
    BAD_STEPS,
    BAD_TOKEN,
    STEPS,
    assert_identical,
    epoch,
    loss_times,
    source,
    start,
    steps_of,
)  # fmt: skip


ALL, CALM = 100, ()


class Told(Listener):
    """Notes reports, incidents and rollbacks."""

    def __init__(self):
        self.reports, self.incidents, self.rollbacks = [], [], []

    def on_report(self, report):
        self.reports.append((report.step, report.loss, report.grad_norm, report.clipped))

    def on_incident(self, incident):
        self.incidents.append((incident.step, incident.fault, incident.skipped, incident.rate))

    def on_rollback(self, rollback):
        self.rollbacks.append((rollback.step, rollback.to))


def copied(state):
    return jax.tree.map(jnp.copy, state)


def train(train_steps, most, bad=CALM, begun=None, policy="skip", every=5):
    """A training of twelve steps that saves every `every`, at most so many steps a dispatch; what it told and saved."""
    told, saved = Told(), {}
    batches = source()._replace(epoch=lambda number: epoch(bad))
    functions = LoopFunctions(
        validate=lambda params: Score(1.0, {}, ""),
        save=lambda state, history, rank: saved.setdefault(int(state.step), copied(state)),
    )
    plan = Plan(STEPS, log_every=4, eval_every=100, checkpoint_every=every, policy=POLICIES[policy])
    training = Training(begun or start(), batches, plan, functions, lambda step: 1e-2, listener=told)
    while (request := training.request()) is not None:
        training.accept(train_steps(request.state, request.epoch, min(request.count, most)), 0.1)
    return training.state, told, saved


def change(state, place, value=jnp.inf):
    """A state with one number of a part changed."""
    if place == "carry":
        return state.replace(carry=jax.tree.map(lambda c: c.at[2, 3].set(value), state.carry))
    if place == "params":
        return state.replace(params=state.params.replace(embedding=state.params.embedding.at[1, 1].set(value)))
    if place == "totals":
        return state.replace(totals=state.totals._replace(nll=state.totals.nll + value))
    clipping, (adam, schedule) = state.opt_state
    adam = adam._replace(nu=adam.nu.replace(b_out=adam.nu.b_out.at[4].set(value)))
    return state.replace(opt_state=(clipping, (adam, schedule)))


def changing(at, place, times, value=jnp.inf):
    """Steps after some of which the state is changed, at most so many times."""
    left = [times]

    def steps(state, streams, count):
        for number in range(count):
            begun = int(state.step)
            state = steps_of("skip")(state, streams, 1)
            if int(state.step) == at > begun and left[0]:
                left[0] -= 1
                return steps_of("skip")(change(state, place, value), streams, count - number - 1)
            if int(state.step) == begun or int(state.incidents.in_a_row):
                return state
        return state

    return steps


@functools.cache
def undisturbed():
    return train(steps_of("skip"), ALL, BAD_STEPS)


@pytest.mark.parametrize("place", ["params", "opt_state", "carry", "totals"])
@pytest.mark.parametrize(("at", "most"), [(6, 1), (6, 3), (6, ALL), (5, ALL), (STEPS, ALL)])
def test_after_a_fault_of_the_memory_the_run_is_the_one_without(place, at, most):
    state, told, saved = train(changing(at, place, 1), most, BAD_STEPS)
    expected, expected_told, expected_saved = undisturbed()
    assert_identical(state, expected)
    assert [to for _, to in told.rollbacks] == [0 if at == 5 else 5 if at == 6 else 10]
    assert (told.reports, told.incidents) == (expected_told.reports, expected_told.incidents)
    assert saved.keys() == expected_saved.keys()
    for step, one in saved.items():
        assert_identical(one, expected_saved[step])


@functools.cache
def poisoning_steps():
    """An optimiser that makes its second moments infinite, without a number in the step itself that is none, where the
    gradient of one word is not zero."""

    def update(grads, state, params=None):
        updates, (clipping, (adam, schedule)) = ADAM.update(grads, state, params)
        bad = jnp.any(grads.embedding[BAD_TOKEN] != 0)
        nu = jax.tree.map(lambda x: jnp.where(bad, jnp.inf, x), adam.nu)
        return updates, (clipping, (adam._replace(nu=nu), schedule))

    optimizer = optax.GradientTransformation(ADAM.init, update)
    guard = Guard(POLICIES["skip"], lambda step: 1e-2, 0.05)
    return build_train_steps(loss_times(1.0), source(), optimizer, clip=0.05, guard=guard)


@pytest.mark.parametrize("most", [1, 3, ALL])
def test_a_batch_that_gives_a_bad_state_again_is_left_out(most):
    """By hand: the host puts back what its step changed. Without the rollback Adam would not move again."""
    state, told, _ = train(poisoning_steps(), most, BAD_STEPS)
    by_hand = start()
    for step in range(STEPS):
        kept = {name: jax.tree.map(jnp.copy, getattr(by_hand, name)) for name in ("params", "opt_state", "carry")}
        by_hand = poisoning_steps()(by_hand, epoch(BAD_STEPS), 1)
        by_hand = by_hand.replace(**kept) if step in BAD_STEPS else by_hand
    assert_identical(state, by_hand, ("params", "opt_state", "carry", "position", "key"))
    assert told.incidents == [(step + 1, "state", number + 1, 1.0) for number, step in enumerate(BAD_STEPS)]
    assert FAULTS[int(state.incidents.fault)] == "state"
    expected, expected_told, _ = train(poisoning_steps(), 2, BAD_STEPS)
    assert_identical(state, expected)
    assert told.reports == expected_told.reports and len(told.reports) == 3


@pytest.mark.parametrize("every", [1, 3, 7])
def test_where_a_run_was_resumed_and_saved_decides_nothing(every):
    expected, expected_told, _ = train(poisoning_steps(), ALL, BAD_STEPS)
    state, told, saved = train(poisoning_steps(), ALL, BAD_STEPS, every=every)
    assert_identical(state, expected)
    assert (told.reports, told.incidents) == (expected_told.reports, expected_told.incidents)
    for step in sorted(saved)[:2]:
        resumed, told, _ = train(poisoning_steps(), 2, BAD_STEPS, copied(saved[step]))
        assert_identical(resumed, expected)
        assert told.incidents == [one for one in expected_told.incidents if one[0] > step]


def test_a_state_that_stays_bad_ends_the_run_after_ten_and_nothing_of_it_is_saved():
    told, saved = Told(), {}
    functions = LoopFunctions(lambda params: Score(1.0, {}, ""), lambda state, *_: saved.update({int(state.step): 0}))
    plan = Plan(STEPS, log_every=4, eval_every=100, checkpoint_every=5)
    training = Training(
        start(), source()._replace(epoch=lambda n: epoch()), plan, functions, lambda s: 1e-2, listener=told
    )
    with pytest.raises(Diverged, match=r"the parameters must stay finite, got inf in params\.embedding\[1, 1\]"):
        while (request := training.request()) is not None:
            state = change(request.state, "params") if request.state.step == 5 else request.state
            training.accept(steps_of("skip")(state, request.epoch, min(request.count, 5)), 0.1)
    assert told.rollbacks == [(5, 5)] * 9 and list(saved) == [5]
    assert told.incidents[-1][:2] == (6, "state")


def test_the_policy_stop_ends_the_run_at_the_first():
    with pytest.raises(Diverged, match="the training state must stay finite, got inf in opt_state"):
        train(changing(6, "opt_state", 1), ALL, policy="stop")


def test_a_held_state_is_its_own():
    """The state that it was made from is donated to the next step."""
    from lm_jax.training.rollback import HeldState

    state = start()
    held, expected = HeldState(state), jax.tree.map(np.array, state.replace(key=jax.random.key_data(state.key)))
    for _ in range(2):
        again = held.restore()
        jax.tree.map(np.testing.assert_array_equal, again.replace(key=jax.random.key_data(again.key)), expected)
        steps_of("skip")(again, epoch(), 3)
