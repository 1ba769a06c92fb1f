"""Losses of runs by training step, as their logs have them: nothing is loaded."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lm_jax.errors import UserError
from lm_jax.report.rows import Rows
from lm_jax.runs.folder import RunFolder, read_lines
from lm_jax.runs.open import open_run
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks import task_of


@shortly_shown
class CurvePoint(NamedTuple):
    """A line of a run's log: a report of training, a validation, or both; what it does not have is None.

    loss, valid_loss: in the unit of the curve. grad_norm: global norm before clipping. learning_rate: of the step.
    """

    run: str
    step: int
    loss: float | None
    valid_loss: float | None
    grad_norm: float | None
    learning_rate: float | None


@shortly_shown
class LearningCurve(NamedTuple):
    """The losses of a run. model: its name. loss_label: the name of the loss with its unit.
    points: as the log has them, by step."""

    run: str
    model: str
    loss_label: str
    points: tuple[CurvePoint, ...]

    @property
    def best(self) -> CurvePoint | None:
        """The point of the lowest validation loss, of equal ones the first; None without a validation."""
        known = [p for p in self.points if p.valid_loss is not None and math.isfinite(p.valid_loss)]
        return min(known, key=lambda point: point.valid_loss or 0.0, default=None)


def learning_curves(runs: Sequence[str | Path]) -> list[LearningCurve]:
    """Reads the losses of runs that were trained step by step.

    Args:
        runs: Folders of runs; also of those that are being trained.

    Returns:
        A curve for each run, in the order given.

    Raises:
        UserError: For a folder that is no run, a model that was estimated without steps, a log without a step, a run
            that is given twice, and runs whose losses have different units.
    """
    if not runs:
        raise UserError("learning curves are of one run or more, got none")
    curves: list[LearningCurve] = Rows(_curve(Path(run).expanduser()) for run in runs)
    names = [curve.run for curve in curves]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"a run has one learning curve, got {name} twice")
    for curve in curves[1:]:
        if curve.loss_label != curves[0].loss_label:
            raise UserError(
                "learning curves on one axis have one unit, got "
                f"{curves[0].loss_label} of {curves[0].run} and {curve.loss_label} of {curve.run}"
            )
    return curves


def _curve(path):
    opened = open_run(path)
    task = task_of(opened.config)
    if task.batches is None:
        raise UserError(f"a learning curve is of a model that was trained in steps, got {path}, which was estimated")
    lines = [line for line in read_lines(RunFolder(path).metrics) if "loss" in line or "valid_loss" in line]
    if not lines:
        raise UserError(f"a learning curve begins with the first report of a run, got none yet in {path}")
    points = [
        CurvePoint(
            str(path), line["step"], *(line.get(n) for n in ("loss", "valid_loss", "grad_norm", "learning_rate"))
        )
        for line in lines
    ]
    return LearningCurve(str(path), task.name(opened.config), task.loss_label(opened.config), tuple(points))
