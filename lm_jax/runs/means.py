"""Means over runs that train side by side: one listener hears of a step when all runs have reported it."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.training.listener import Incident, Listener, Report, Rollback, Score, Start, Telemetry, Validation


HUGE = 1e300  # numbers above it may have a sum beyond a float


def mean_and_error(values: Sequence[float]) -> dict[str, float]:
    """Returns the mean of at least two values, and its standard error; NaN where one of them is infinite, as the
    perplexity of a model that has an impossible token, or where the sum is beyond a float."""
    try:
        error = statistics.stdev(values) / len(values) ** 0.5
    except (OverflowError, ValueError, AttributeError):  # what the library says of infinity depends on its version
        error = math.nan
    return {"mean": mean_of(values), "error": error}


def mean_of(values: Iterable[float]) -> float:
    """Returns the mean, which may be infinite, or NaN."""
    numbers = [float(value) for value in values]
    with np.errstate(over="ignore", invalid="ignore"):
        return statistics.fmean(numbers) if all(abs(n) < HUGE for n in numbers) else float(np.mean(numbers))


class Means:
    """Listens to several runs, and gives a listener means over those that still train.

    Args:
        listener: hears the means.
        folder: of all runs.
        runs: how many there are.
    """

    def __init__(self, listener: Listener, folder: Path, runs: int):
        self.listener, self.folder, self.going = listener, folder, runs
        self._over = 0
        self._waiting: dict[tuple[type, int], list[Any]] = {}

    def on_steps(self, count: int, seconds: float) -> None:
        """Begins a round: runs that are over are no longer waited for."""
        self.going, self._over = self.going - self._over, 0

    def on_over(self, number: int) -> None:
        """Notes that a run is over; the others of its round may still tell of the same step."""
        self._over += 1

    def listeners(self) -> list[Listener]:
        """Returns one listener for each run; of the first come the start, the bar and the telemetry."""
        return [FirstRun(self), *(OneRun(self) for _ in range(self.going - 1))]

    def take(self, event: Report | Validation, mean: Callable[[list[Any]], Any], tell: Callable[[Any], None]) -> None:
        """Keeps an event until every run has reported the same step; then reports their mean.

        Args:
            event: The event of one run.
            mean: Makes one event of those of all runs.
            tell: Reports it.
        """
        key = (type(event), event.step)
        group = self._waiting.setdefault(key, [])
        group.append(event)
        if len(group) == self.going:
            tell(mean(self._waiting.pop(key)))


class OneRun(Listener):
    """Hears one of several runs."""

    def __init__(self, means: Means):
        self._means = means

    def on_report(self, report: Report) -> None:
        """Joins the reports of the other runs."""
        self._means.take(report, _mean_report, self._means.listener.on_report)

    def on_validation(self, validation: Validation) -> None:
        """Joins the validations of the other runs."""
        self._means.take(validation, _mean_validation, self._means.listener.on_validation)

    def on_incident(self, incident: Incident) -> None:
        """Hands on: what happens to one run is no mean."""
        self._means.listener.on_incident(incident)

    def on_rollback(self, rollback: Rollback) -> None:
        """Hands on."""
        self._means.listener.on_rollback(rollback)

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Hands on how far a validation or the closing table is.

        Args:
            stage: What is being done, such as "validating".
            done: Parts that are done.
            total: Parts in all.
        """
        self._means.listener.on_progress(stage, done, total)


class FirstRun(OneRun):
    """Hears the first of several runs, which speaks for all where there is no mean."""

    def on_start(self, start: Start) -> None:
        """Hands on, with the folder and the number of all."""
        start = start._replace(run=str(self._means.folder), seeds=self._means.going)
        self._means.listener.on_start(start)

    def on_steps(self, step: int) -> None:
        """Hands on."""
        self._means.listener.on_steps(step)

    def on_telemetry(self, telemetry: Telemetry) -> None:
        """Hands on."""
        self._means.listener.on_telemetry(telemetry)


def _mean_report(reports: list[Report]) -> Report:
    speeds = [one.targets_per_second for one in reports if one.targets_per_second is not None]
    numbers = ("loss", "grad_norm", "clipped", "learning_rate", "seconds")
    return reports[0]._replace(
        metrics=_mean_metrics([one.metrics for one in reports]),
        targets_per_second=statistics.fmean(speeds) / len(reports) if len(speeds) == len(reports) else None,
        **{name: mean_of(getattr(one, name) for one in reports) for name in numbers},
    )


def _mean_validation(validations: list[Validation]) -> Validation:
    scores = [{"loss": one.score.loss, **one.score.metrics} for one in validations]
    mean = _mean_metrics(scores)
    error = {}
    if len(scores) > 1:
        error = {name: mean_and_error([one[name] for one in scores])["error"] for name in mean}
    score = Score(mean["loss"], {name: value for name, value in mean.items() if name != "loss"}, "")
    return validations[0]._replace(score=score, error=error)


def _mean_metrics(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: mean_of(one[name] for one in metrics) for name in metrics[0]}
