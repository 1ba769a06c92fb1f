"""The progress of a run in a notebook: one output that is updated, a bar and a line, without codes for a terminal."""

import html
import time
from collections.abc import Callable
from typing import Any

from lm_jax.report.numbers import clock
from lm_jax.training.listener import Listener, Report, Start, Telemetry, Validation


OFTEN = 0.5  # seconds between two updates, which travel to the browser


class ProgressLine:
    """What the notebook shows of a run at one moment: HTML for the page, a line of text for what shows no HTML.

    share: of the run that is done, from 0 to 1; None where that is not known. parts: phrases.
    """

    def __init__(self, share: float | None, parts: tuple[str, ...]):
        self._share, self._parts = share, parts

    def __repr__(self) -> str:
        return " | ".join(self._parts)

    def _repr_html_(self) -> str:
        bar = "" if self._share is None else f'<progress value="{self._share:.4f}" max="1"></progress> '
        return f"<div>{bar}<span>{html.escape(repr(self))}</span></div>"


class NotebookProgress(Listener):
    """Shows one line of a notebook, and updates it.

    Args:
        display: IPython's `display`, or a function with its arguments.
        now: the time in seconds.
    """

    def __init__(self, display: Callable[..., Any], now: Callable[[], float] = time.monotonic):
        self._display, self._now = display, now
        self._handle: Any = None
        self._shown = self._began = now()
        self._model = self._stage = self._train = self._valid = ""
        self._step = self._steps = 0

    def on_stage(self, stage: str) -> None:
        """Shows what is being done."""
        self._stage = stage
        self._show()

    def on_start(self, start: Start) -> None:
        """Shows the model and its size."""
        self._model = f"{start.model}, {start.parameters:,} parameters"
        self._step, self._steps = start.first_step, start.steps
        self._stage = "compiling"
        self._show()

    def on_steps(self, step: int) -> None:
        """Moves the bar."""
        self._step, self._stage = step, ""
        self._show(seldom=True)

    def on_report(self, report: Report) -> None:
        """Keeps the training loss, for the next update."""
        self._train = f"loss {report.loss:.4f}"
        self._show(seldom=True)

    def on_telemetry(self, telemetry: Telemetry) -> None:
        """Keeps the measurements, for the next update."""
        self._stage = telemetry.words
        self._show(seldom=True)

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Shows how far a validation or the closing table is.

        Args:
            stage: What is being done, such as "validating".
            done: Parts that are done.
            total: Parts in all.
        """
        self._stage = f"{stage} {done / total:.0%}"
        self._show(seldom=True)

    def on_validation(self, validation: Validation) -> None:
        """Keeps the score of the best validation, for the next update."""
        if validation.best:
            score = validation.score
            words = score.words.partition(",")[0] or f"loss {score.loss:.4f}"  # the first measure has room
            self._valid = f"best validation, after step {validation.step:,}: {words}"
        self._show(seldom=True)

    def on_end(self, results: Any) -> None:
        """Shows the last line: the folder of the run, and how it ended."""
        self._stage = f"{'stopped' if getattr(results, 'stopped', False) else 'finished'}: {results.run}"
        self._show()

    def _show(self, seldom=False):
        now = self._now()
        if seldom and now - self._shown < OFTEN:
            return
        self._shown = now
        steps = f"step {self._step:,} of {self._steps:,}" if self._steps else ""
        parts = (self._model, steps, self._train, self._valid, clock(now - self._began), self._stage)
        share = self._step / self._steps if self._steps else None
        line = ProgressLine(share, tuple(part for part in parts if part))
        if self._handle is None:
            self._handle = self._display(line, display_id=True)
        else:
            self._handle.update(line)
