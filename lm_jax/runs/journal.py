"""The logs of a run: each event becomes a line of JSON in its folder, and then goes to whoever listens."""

import time
from collections.abc import Mapping
from typing import Any

from lm_jax.report.figures import draw_loss_curve
from lm_jax.runs.folder import RunFolder, add_to_digest, log_digest, read_lines
from lm_jax.training.listener import Compilation, Incident, Listener, Report, Rollback, Start, Telemetry, Validation


DRAWN_EVERY = 10.0  # seconds: a picture takes longer to draw than a small model takes to validate


class Journal(Listener):
    """Writes the events of a run to its folder and hands them on.

    Args:
        folder: of the run; silent processes (`writes` off) write and hand on nothing.
        listener: hears the events after they are on disk.
        first_step: the steps done before.
        loss_label: the name of the loss with its unit, for the picture.
        unit: what a target is called, in the plural.
    """

    def __init__(self, folder: RunFolder, listener: Listener, first_step: int, loss_label: str, unit: str):
        self._folder, self._next = folder, listener if folder.writes else Listener()
        self._step, self._loss_label, self._unit = first_step, loss_label, unit
        self._drawn = time.monotonic()
        self._digest = log_digest(read_lines(folder.metrics) if folder.writes else ())

    @property
    def digest(self) -> str:
        """The checksum of what was written to metrics.jsonl, which a checkpoint keeps."""
        return self._digest.copy().hexdigest()

    def _write(self, record):
        self._folder.append(self._folder.metrics, record)
        add_to_digest(self._digest, record)

    def on_start(self, start: Start) -> None:
        """Hands on."""
        self._next.on_start(start)

    def on_compilation(self, compilation: Compilation) -> None:
        """Writes to times.jsonl."""
        self._folder.append(self._folder.times, {"step": self._step, "compilation": compilation._asdict()})
        self._next.on_compilation(compilation)

    def on_steps(self, step: int) -> None:
        """Hands on."""
        self._next.on_steps(step)

    def on_report(self, report: Report) -> None:
        """Writes to metrics.jsonl, and times to times.jsonl."""
        folder, rate = self._folder, report.targets_per_second
        self._write(report_to_json(report))
        times = {"step": report.step, "seconds": report.seconds, f"{self._unit}_per_second": rate}
        folder.append(folder.times, times)
        self._next.on_report(report)

    def on_incident(self, incident: Incident) -> None:
        """Writes to metrics.jsonl."""
        self._write(incident_to_json(incident))
        self._next.on_incident(incident)

    def on_rollback(self, rollback: Rollback) -> None:
        """Writes to times.jsonl: what a run has learned and measured is as if there had been none."""
        record = {"step": rollback.step, "rollback": {"to": rollback.to, "message": rollback.message}}
        self._folder.append(self._folder.times, record)
        self._next.on_rollback(rollback)

    def on_telemetry(self, telemetry: Telemetry) -> None:
        """Writes to metrics.jsonl."""
        self._write({"step": telemetry.step, "telemetry": dict(telemetry.values)})
        self._next.on_telemetry(telemetry)

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Hands on how far a validation or the closing table is.

        Args:
            stage: What is being done, such as "validating".
            done: Parts that are done.
            total: Parts in all.
        """
        self._next.on_progress(stage, done, total)

    def record_validation(self, validation: Validation) -> None:
        """Writes to metrics.jsonl, before the checkpoint that has the digest of these lines."""
        self._write(validation_to_json(validation))

    def on_validation(self, validation: Validation) -> None:
        """Hands on, and draws the loss curve where it was not drawn for some seconds."""
        self._next.on_validation(validation)
        if time.monotonic() - self._drawn > DRAWN_EVERY:
            self.draw_losses()

    def on_end(self, results: Any) -> None:
        """Hands on."""
        self._next.on_end(results)

    def draw_losses(self, references: Mapping[str, float] | None = None) -> None:
        """Draws the loss curve; references: validation losses of other models by name, once they are known."""
        if self._folder.writes:
            lines = read_lines(self._folder.metrics)
            draw_loss_curve(lines, self._folder.figure, self._loss_label, references or {})
        self._drawn = time.monotonic()


def report_to_json(report: Report) -> dict[str, Any]:
    """Returns a line of metrics.jsonl: no clock times, so that equal runs have equal files."""
    return {"step": report.step, **report.numbers}


def incident_to_json(incident: Incident) -> dict[str, Any]:
    """Returns a line of metrics.jsonl; a loss that is no number is null, and so is a norm. Nothing of the report: a run
    that goes on in another folder has the same lines."""
    values = incident._asdict()
    return {"step": values.pop("step"), "incident": {name: values[name] for name in values if name not in _OF_REPORT}}


_OF_REPORT = ("report", "found", "count")


def validation_to_json(validation: Validation) -> dict[str, Any]:
    """Returns a line of metrics.jsonl."""
    record = {"step": validation.step, **validation.score.numbers, "best": validation.best}
    return record | ({"closing": True} if validation.closing else {})
