"""Events of a training run as typed records, and the listener that hears them.

A listener overrides the methods that it needs; each does nothing by default. The terminal's console is one.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Column(NamedTuple):
    """One column of the table of reports: a title, a width in characters, and the text that a report has in it."""

    title: str
    width: int
    show: Callable[["Report"], str]


class Start(NamedTuple):
    """A run before its next step.

    device: kind and number. model: such as "LSTM 1x256". engine: how a recurrence is computed; None without one.
    parameters: how many numbers are trained. data: phrases about the data. source: where the data come from.
    steps, steps_per_epoch, first_step: length of the run, of an epoch, and the steps already done.
    targets_per_epoch: predictions in one pass over the data. unit: the name of a target, in the plural.
    columns: of the task, in the table of reports. command: the words of the command line that train this task.
    run: the folder. mirror: the folder of its copy. seeds: how many runs are trained side by side.
    chosen: settings that the data chose, by name.
    """

    device: str
    model: str
    engine: str | None
    parameters: int
    data: tuple[str, ...]
    source: str
    steps: int
    steps_per_epoch: int
    first_step: int
    targets_per_epoch: int
    unit: str
    columns: tuple[Column, ...]
    command: str
    run: str
    mirror: str | None = None
    seeds: int = 1
    chosen: Mapping[str, Any] = {}


class Compilation(NamedTuple):
    """Seconds to a program that can run, and whether it was read from the cache on disk instead of compiled."""

    seconds: float
    from_cache: bool


class Report(NamedTuple):
    """Means over the steps since the last report, up to `step`.

    loss: per target. metrics: what the task derives from the loss, by name. grad_norm: global norm before clipping.
    clipped: share of the steps whose gradient was clipped. learning_rate: of the last step.
    seconds, targets_per_second: time spent on these steps (None before anything was timed).
    """

    step: int
    loss: float
    metrics: Mapping[str, float]
    grad_norm: float
    clipped: float
    learning_rate: float
    seconds: float
    targets_per_second: float | None

    @property
    def numbers(self) -> dict[str, float]:
        """What was measured of the training by name, without times."""
        own = {"grad_norm": self.grad_norm, "clipped": self.clipped, "learning_rate": self.learning_rate}
        return {"loss": self.loss, **self.metrics, **own}


class Score(NamedTuple):
    """A validation's outcome: the loss, and other metrics by name.

    words: the metrics in words, for a person. criterion: the number to be the best by, lower is better; None where
    that is the loss.
    """

    loss: float
    metrics: Mapping[str, float]
    words: str
    criterion: float | None = None

    @property
    def rank(self) -> float:
        """The number to be the best by."""
        return self.loss if self.criterion is None else self.criterion

    @property
    def numbers(self) -> dict[str, float]:
        """The loss and the metrics by name."""
        return {"valid_loss": self.loss, **self.metrics}


class Validation(NamedTuple):
    """A validation after `step`. best: the lowest loss so far. closing: at the planned end, outside the schedule.

    sample: text that shows what the model does. error: standard errors by name, where several seeds were averaged.
    """

    step: int
    score: Score
    best: bool
    closing: bool = False
    sample: str = ""
    error: Mapping[str, float] = {}


class Incident(NamedTuple):
    """Steps up to `step` that were no numbers and were not applied, or a spike of the loss, which was.

    fault: what was infinite or NaN, such as "gradient"; "explosion" of a finite loss; "spike". loss: per target, and
    grad_norm, of the last of them. count: how many since the last that was told of; in_a_row: up to this step;
    skipped: in the whole run. rate, clip: factors of the learning rate and of the clipping norm from here on.
    stopped: the run ends.
    back_to: the step of the good state that parameters, optimiser and carry now are those of; None without one.
    report: the folder of the report; "" without one. found: its words.
    """

    step: int
    fault: str
    loss: float
    grad_norm: float
    count: int
    in_a_row: int
    skipped: int
    rate: float
    clip: float
    stopped: bool
    back_to: int | None = None
    report: str = ""
    found: str = ""


class Rollback(NamedTuple):
    """A state that was found inf or NaN after `step`, and was replaced by that after step `to`; the run does the steps
    from there anew. message: what was found. report: the folder of the report; "" without one."""

    step: int
    to: int
    message: str
    report: str = ""


class Telemetry(NamedTuple):
    """Measurements of the model after `step`: values of JSON types by name, and the same in words."""

    step: int
    values: Mapping[str, Any]
    words: str


class Listener:
    """Hears what happens in a run; every method does nothing by default."""

    def on_stage(self, stage: str) -> None:
        """Hears what is being done, in a few words, where that is no training step."""

    def on_start(self, start: Start) -> None:
        """Hears of a run before its first step."""

    def on_compilation(self, compilation: Compilation) -> None:
        """Hears how long the first step was waited for."""

    def on_steps(self, step: int) -> None:
        """Hears the number of steps done, after every dispatch."""

    def on_report(self, report: Report) -> None:
        """Hears a report of the training figures."""

    def on_incident(self, incident: Incident) -> None:
        """Hears of steps that were not applied, and of spikes of the loss."""

    def on_rollback(self, rollback: Rollback) -> None:
        """Hears that a state that went bad in memory was replaced by an older one."""

    def on_telemetry(self, telemetry: Telemetry) -> None:
        """Hears measurements of the model."""

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Hears how far a validation or the closing table is.

        Args:
            stage: What is being done, such as "validating".
            done: Parts that are done.
            total: Parts in all.
        """

    def on_validation(self, validation: Validation) -> None:
        """Hears the outcome of a validation."""

    def on_end(self, results: Any) -> None:
        """Hears the results of a run that ended or was stopped."""
