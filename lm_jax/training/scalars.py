"""The numbers of a training for programs that draw curves: (step, numbers by name)."""

import warnings
from collections.abc import Callable, Mapping

from lm_jax.training.listener import Incident, Listener, Report, Start, Telemetry, Validation


Log = Callable[[int, Mapping[str, float]], None]


class ScalarListener(Listener):
    """Hands the numbers of a training to any function `log(step, numbers by name)`, such as a method of a logger.

    The names are those of metrics.jsonl: loss, perplexity, grad_norm, clipped, learning_rate, valid_loss, ..., with
    tokens_per_second, telemetry/NAME and incidents beside them. A log that the machine refuses to write is a warning,
    once, and the training goes on without it.

    Args:
        log: Called with the step and its numbers.
    """

    def __init__(self, log: Log):
        self._log: Log | None = log
        self._unit = "targets"

    def on_start(self, start: Start) -> None:
        """Hears what a target is called."""
        self._unit = start.unit

    def on_report(self, report: Report) -> None:
        """Logs the training figures."""
        values = report.numbers
        if report.targets_per_second is not None:
            values[f"{self._unit}_per_second"] = report.targets_per_second
        self._write(report.step, values)

    def on_validation(self, validation: Validation) -> None:
        """Logs the validation."""
        self._write(validation.step, validation.score.numbers)

    def on_telemetry(self, telemetry: Telemetry) -> None:
        """Logs those measurements that are one number."""
        values = {f"telemetry/{name}": value for name, value in telemetry.values.items() if _is_number(value)}
        if values:
            self._write(telemetry.step, values)

    def on_incident(self, incident: Incident) -> None:
        """Logs how many steps were left out so far."""
        self._write(incident.step, {"incidents": incident.skipped})

    def _write(self, step, values):
        if self._log is None:
            return
        try:
            self._log(step, values)
        except OSError as error:
            self._log = None
            warnings.warn(
                f"the log of step {step} cannot be written ({error.strerror or error}); no more is", stacklevel=2
            )


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)
