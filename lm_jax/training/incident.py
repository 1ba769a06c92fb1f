"""Counters of steps that were not applied, as the host reads them after a dispatch: one event for a listener."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.training.divergence import Diverged, diverged
from lm_jax.training.listener import Incident
from lm_jax.training.recovery import EXPLOSION, FAULTS
from lm_jax.training.state import TrainState


class Counted(NamedTuple):
    """How many steps of a run were skipped, and how many were spikes."""

    skipped: int = 0
    spikes: int = 0


def count(state: TrainState) -> Counted:
    """Reads both numbers; zeros of a training without a guard."""
    counters = state.incidents
    return Counted() if counters is None else Counted(int(counters.skipped), int(counters.spikes))


def applied_steps(state: TrainState) -> int:
    """Returns how many steps since the last report were applied."""
    skipped = 0 if state.incidents is None else int(state.incidents.unreported)
    return int(state.totals.steps) - skipped


def mean_grad_norm(state: TrainState) -> float:
    """Returns the mean gradient norm of the steps since the last report that were applied; NaN where none was."""
    applied = applied_steps(state)
    return float(state.totals.grad_norm) / applied if applied else math.nan


def rate_factor(state: TrainState) -> float:
    """Returns the factor that incidents have put on the learning rate."""
    return 1.0 if state.incidents is None else float(state.incidents.rate)


def is_due(state: TrainState) -> bool:
    """Says whether the run is to go back to a good state."""
    return state.incidents is not None and bool(state.incidents.due)


def incident_since(state: TrainState, before: Counted) -> Incident | None:
    """Returns what happened since the counters were read before; None where nothing did."""
    now = count(state)
    if now == before:
        return None
    counters: Any = jax.tree.map(np.asarray, state.incidents)
    skipped = now.skipped - before.skipped
    return Incident(
        step=int(state.step),
        fault=FAULTS[int(counters.fault)] if skipped else "spike",
        loss=float(counters.loss),
        grad_norm=float(counters.norm),
        count=skipped or now.spikes - before.spikes,
        in_a_row=int(counters.in_a_row),
        skipped=now.skipped,
        rate=float(counters.rate),
        clip=float(counters.clip),
        stopped=bool(counters.stopped),
    )


def as_divergence(incident: Incident) -> Diverged:
    """Makes the error of a training that an incident stopped."""
    times = f"{incident.in_a_row} times in a row" if incident.in_a_row > 1 else "once"
    what = {"loss": f"loss {incident.loss}", "gradient": f"gradient norm {incident.grad_norm}"}
    got = what.get(incident.fault, f"inf or nan in the {incident.fault}")
    if incident.fault == "explosion":
        rule = f"the loss must stay below {EXPLOSION:g} times that of the first step"
        return diverged(f"{rule}, got {incident.loss:.4g} {times} by step {incident.step}")
    return diverged(f"the loss and the gradient must stay finite, got {got} {times} by step {incident.step}")


def without_numbers(state: TrainState) -> TrainState:
    """The state without loss and norm of the last incident: they have been told, and no such number is to be saved."""
    return _with(state, loss=jnp.zeros_like, norm=jnp.zeros_like)


def with_new_sums(state: TrainState) -> TrainState:
    """The state with sums of nothing, where they were."""
    state = dataclasses.replace(state, totals=jax.tree.map(jnp.zeros_like, state.totals))
    return state if state.incidents is None else _with(state, unreported=jnp.zeros_like)


def _with(state, **changes):
    counters = {name: change(getattr(state.incidents, name)) for name, change in changes.items()}
    return dataclasses.replace(state, incidents=state.incidents._replace(**counters))
