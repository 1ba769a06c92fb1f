"""When a run reports, validates and saves, in steps, and what its validations change."""

import dataclasses
from typing import Any

from lm_jax.training.averaging import has_stalled, trigger
from lm_jax.training.history import History
from lm_jax.training.recovery import POLICIES, Policy
from lm_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Plan:
    """Steps of a run, and how often something happens at them.

    decay_factor is None unless the learning rate falls on a plateau, nonmono unless a stalled validation loss starts
    the averaging of weights, telemetry_every unless the model is measured on the way. policy: what is done about steps
    and states that are no numbers. good_states: how many of them are held to go back to.
    """

    steps: int
    log_every: int
    eval_every: int
    checkpoint_every: int | None = None
    patience: int | None = None
    decay_factor: float | None = None
    nonmono: int | None = None
    telemetry_every: int | None = None
    policy: Policy = POLICIES["skip"]
    good_states: int = 2

    def saves_at(self, step: int) -> bool:
        """Says whether a run saves its state at a step wherever it ends: at a validation, or at its interval."""
        every = self.checkpoint_every
        return step % self.eval_every == 0 or (every is not None and step % every == 0)

    def is_due(self, step: int) -> bool:
        """Says whether something is told, validated or saved at a step."""
        intervals = (self.log_every, self.eval_every, self.checkpoint_every, self.telemetry_every)
        return any(every and step % every == 0 for every in intervals)

    def next_stop(self, step: int, steps_per_epoch: int) -> int:
        """Returns the first step after `step` at which something happens on the host."""
        intervals = [self.log_every, self.eval_every, self.checkpoint_every, self.telemetry_every, steps_per_epoch]
        return min(self.steps, *(step - step % every + every for every in intervals if every))


def after_validation(plan: Plan, history: History, state: TrainState, best: bool) -> TrainState:
    """Returns the state that a training goes on with: the mean of the weights begins where validations stall, and the
    learning rate falls on a plateau.

    Args:
        plan: Of the run.
        history: With the validation.
        state: That was validated.
        best: Whether it is the best so far.
    """
    average: Any = state.average
    if plan.nonmono is not None and average.count == 0 and has_stalled(history.valid_losses, plan.nonmono):
        state = dataclasses.replace(state, average=trigger(average))
    if not best and plan.decay_factor is not None:
        state = dataclasses.replace(state, learning_rate_scale=state.learning_rate_scale * plan.decay_factor)
    return state
