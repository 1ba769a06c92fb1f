"""When a run reports, validates and saves, in steps."""

import dataclasses

from lm_jax.training.recovery import POLICIES, Policy


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
