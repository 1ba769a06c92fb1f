"""What a training does about a step that is no number, decided on the device: such a step is never applied.

After every step loss, gradient norm, carry and reach of the update are looked at. If one of them is infinite or NaN,
parameters, optimiser, average and carry stay those that the step began with; only the step's number, its place in the
text and the counters here go on. A step thus never makes a bad state, there is nothing to roll back, and what the step
was computed from is still there for a report. What else can make a state bad is told, and mended, in `rollback`.

Why looking at so little is enough: where the norm is finite, so is the square of every gradient, and with it each
moment of the optimiser, if it was finite before. That it was is looked at before the first step of every dispatch, of
about a second (`is_finite`), of a checkpoint when it is read, and of a state before it is saved.

A loss is an explosion, and its step is not applied either, where it is finite but EXPLOSION times that of the first
step (of one nat, if that was less): no model starts so badly.

The decisions depend on the counters alone, which every checkpoint has: they are the same bit for bit however the steps
are divided into dispatches, and after a resume.

    skip          the batch is left out; after 3 in a row the learning rate is halved
    halve-lr      the learning rate is halved each time
    tighten-clip  the norm that gradients are clipped at is halved each time
    stop          the run ends

The first three take the run back to a good state after 3 in a row, and further back at each that follows at once
(`good_states`); after 10 in a row the run ends. A halved rate or norm stays so.

A spike is a finite loss more than SPIKE standard deviations above the running mean of the losses of the steps before;
it is reported and applied, or takes the run back to a good state.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


FAULTS = ("none", "loss", "gradient", "carry", "update", "state", "explosion")  # the first of them that is no number
FARTHEST = 1e30  # of an update: about 3e8 of these fit into float32
ADAM_REACH = 10.0  # Adam moves a parameter by less than 7.3 learning rates
EXPLOSION = 10.0  # times the loss of the first step
SPIKE, SPIKE_AFTER, SPIKE_MEMORY = 8.0, 200, 0.99  # deviations; steps before the first; share that is kept a step


class Policy(NamedTuple):
    """After how many bad steps in a row something is done; None: never. Rate and clip: at every multiple; go_back: at
    each from there on. spike_back: whether a spike takes the run back, too."""

    halve_rate: int | None
    tighten_clip: int | None
    stop: int
    go_back: int | None = None
    spike_back: bool = False


POLICIES = {
    "skip": Policy(3, None, 10, go_back=3),
    "halve-lr": Policy(1, None, 10, go_back=3),
    "tighten-clip": Policy(None, 1, 10, go_back=3),
    "stop": Policy(None, None, 1),
}


def policy_of(on_nonfinite: str, on_spike: str) -> Policy:
    """Returns the policy of two settings, each by the name that a user gives."""
    return POLICIES[on_nonfinite]._replace(spike_back=on_spike == "rollback")


class Incidents(NamedTuple):
    """Counters of the steps that were not applied, and the running loss that spikes are told by.

    skipped: of the whole run; in_a_row: up to the last step; unreported: since the last report. fault: of the last
    one, by its place in FAULTS, with its loss (mean per target) and gradient norm. rate, clip: factors of the learning
    rate and of the norm that is clipped at. stopped: the run is to end. spikes: how many; loss, norm: of the last
    incident or spike. mean, variance, seen: of the losses of the steps that the parameters have, and how many. first:
    of these losses, 0 of none. due: the run is to go back; until the host has seen to it there are no more steps.
    """

    skipped: Int[Array, ""]
    in_a_row: Int[Array, ""]
    unreported: Int[Array, ""]
    fault: Int[Array, ""]
    loss: Float[Array, ""]
    norm: Float[Array, ""]
    rate: Float[Array, ""]
    clip: Float[Array, ""]
    stopped: Bool[Array, ""]
    spikes: Int[Array, ""]
    mean: Float[Array, ""]
    variance: Float[Array, ""]
    seen: Int[Array, ""]
    first: Float[Array, ""]
    due: Bool[Array, ""]


class Guard(NamedTuple):
    """How a training is guarded. learning_rate: of a step, to see how far an update reaches. clip: None for none."""

    policy: Policy
    learning_rate: Any
    clip: float | None = None


class Outcome(NamedTuple):
    """Of a step before it is applied: the loss of all its targets and their number, the gradient norm before clipping,
    the learning rate's factors, and the new carry."""

    nll: Float[Array, ""]
    tokens: Int[Array, ""]
    norm: Float[Array, ""]
    scale: Float[Array, ""]
    carry: Any


def no_incidents() -> Incidents:
    """Returns the counters before the first step; arrays of their own, since a donated buffer may be named once."""
    counts = {name: jnp.zeros((), int) for name in ("skipped", "in_a_row", "unreported", "fault", "spikes", "seen")}
    numbers = {name: jnp.zeros(()) for name in ("loss", "norm", "mean", "variance", "first")}
    flags = {name: jnp.zeros((), bool) for name in ("stopped", "due")}
    return Incidents(**counts, **numbers, **flags, rate=jnp.ones(()), clip=jnp.ones(()))


def is_finite(tree: Any) -> Bool[Array, ""]:
    """Says whether all numbers of a tree are finite; anything but floating-point numbers is.

    A sum of zero times each is NaN where one is not: on a CPU this reads memory at twice the speed of `isfinite`.
    """
    numbers = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return functools.reduce(jnp.logical_and, (jnp.isfinite(jnp.sum(leaf * 0)) for leaf in numbers), jnp.ones((), bool))


def tighten(guard: Guard, incidents: Incidents, grads: Any, norm: Float[Array, ""]) -> Any:
    """Scales gradients to the tightened norm, if the policy ever tightens it; those that are shorter stay.

    Args:
        guard: The policy, clipping and learning rate of the run.
        incidents: The counters of the run, with the factor on the norm.
        grads: The gradients.
        norm: Their global norm.
    """
    if guard.policy.tighten_clip is None or guard.clip is None:
        return grads
    shrunk = jnp.minimum(1.0, guard.clip * incidents.clip / norm)
    factor = jnp.where(incidents.clip < 1, shrunk, 1.0)
    return jax.tree.map(lambda g: g * factor.astype(g.dtype), grads)


def has_exploded(loss: Any, first: Any) -> Bool[Array, ""]:
    """Says whether a loss is past any use beside that of the first step, 0 where there was none; so is one that is no
    number. Of numbers on the host nothing is compiled."""
    return (first > 0) & ~((loss <= EXPLOSION * first) | (loss <= EXPLOSION))


def judge(guard: Guard, step: Int[Array, ""], first: Float[Array, ""], outcome: Outcome) -> Int[Array, ""]:
    """Returns the place in FAULTS of the first thing in a step that is no number or an explosion; 0 without.

    Args:
        guard: The policy, clipping and learning rate of the run.
        step: The number of the step.
        first: The loss of the first step.
        outcome: What the step has computed.
    """
    reach = guard.learning_rate(step) * outcome.scale * jnp.maximum(outcome.norm, ADAM_REACH)
    faults = {
        "loss": ~jnp.isfinite(outcome.nll),
        "gradient": ~jnp.isfinite(outcome.norm),
        "carry": ~is_finite(outcome.carry),
        "update": ~(reach < FARTHEST),
        "explosion": has_exploded(_loss(outcome), first),
    }
    return jnp.select(list(faults.values()), [FAULTS.index(name) for name in faults], 0)


def note(policy: Policy, before: Incidents, fault: Int[Array, ""], outcome: Outcome) -> Incidents:
    """Returns the counters after a step with this fault, 0 for none.

    Args:
        policy: What is done about a step that is no number.
        before: The counters before the step.
        fault: The place of the fault in FAULTS.
        outcome: What the step has computed.
    """
    bad = fault > 0
    loss = _loss(outcome)
    count = jnp.where(bad, before.in_a_row + 1, 0)
    spike = ~bad & (before.seen >= SPIKE_AFTER) & (loss > before.mean + SPIKE * jnp.sqrt(before.variance))
    noteworthy = bad | spike
    after = before._replace(
        skipped=before.skipped + bad,
        in_a_row=count,
        unreported=before.unreported + bad,
        fault=jnp.where(noteworthy, fault, before.fault),
        loss=jnp.where(noteworthy, loss, before.loss),
        norm=jnp.where(noteworthy, outcome.norm, before.norm),
        rate=before.rate * jnp.where(bad & _due(count, policy.halve_rate), 0.5, 1.0),
        clip=before.clip * jnp.where(bad & _due(count, policy.tighten_clip), 0.5, 1.0),
        stopped=before.stopped | (count >= policy.stop),
        spikes=before.spikes + spike,
        first=jnp.where((before.seen == 0) & ~bad, loss, before.first),
        due=bad & (count >= (policy.go_back or jnp.inf)) | spike & policy.spike_back,
        **_running(before, jnp.where(bad, before.mean, loss), ~bad),
    )
    return jax.tree.map(lambda new, old: new.astype(old.dtype), after, before)


def _loss(outcome):
    return outcome.nll / jnp.maximum(outcome.tokens, 1)


def _due(count, every):
    return False if every is None else count % every == 0


def _running(before, loss, counts):
    """Mean and variance of the losses, of which the newest weighs 1 in 100 (in the beginning all weigh the same).

    A loss counts as no more than a spike would have to be, so that one spike does not hide the next.
    """
    ceiling = before.mean + SPIKE * jnp.sqrt(before.variance)
    loss = jnp.where(before.seen >= SPIKE_AFTER, jnp.minimum(loss, ceiling), loss)
    share = jnp.maximum(1 / (before.seen + 1.0), 1 - SPIKE_MEMORY)
    away = loss - before.mean
    variance = (1 - share) * (before.variance + share * away**2)
    return {
        "mean": jnp.where(counts, before.mean + share * away, before.mean),
        "variance": jnp.where(counts, variance, before.variance),
        "seen": before.seen + counts,
    }
