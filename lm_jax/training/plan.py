"""When a run reports, validates and saves, in steps."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Plan:
    """Steps of a run, and how often something happens at them.

    decay_factor is None unless the learning rate falls on a plateau, nonmono unless a stalled validation loss starts
    the averaging of weights, telemetry_every unless the model is measured on the way.
    """

    steps: int
    log_every: int
    eval_every: int
    checkpoint_every: int | None = None
    patience: int | None = None
    decay_factor: float | None = None
    nonmono: int | None = None
    telemetry_every: int | None = None

    def next_stop(self, step: int, steps_per_epoch: int) -> int:
        """Returns the first step after `step` at which something happens on the host."""
        intervals = [self.log_every, self.eval_every, self.checkpoint_every, self.telemetry_every, steps_per_epoch]
        return min(self.steps, *(step - step % every + every for every in intervals if every))
