"""The losses of several runs in one picture and one table."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_jax.report.figures import drawable
from lm_jax.report.labels import plain_label
from lm_jax.report.numbers import short
from lm_jax.report.picture_file import save_figure
from lm_jax.report.style import SERIES, clean, label_ends
from lm_jax.report.table import Table


if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("-", "--", "-.", ":")  # of the next round of colours


def short_names(runs: Sequence[str]) -> list[str]:
    """Returns the names of run folders without the parents that all of them share."""
    if len({Path(run).parent for run in runs}) == 1:
        return [Path(run).name for run in runs]
    return list(runs)


def table(curves: Sequence[Any]) -> Table:
    """Returns a row for each run: its model, steps, last training loss, and the best validation.

    Args:
        curves: Records with the fields of a learning curve.
    """
    rows = []
    for name, curve in zip(short_names([c.run for c in curves]), curves, strict=True):
        losses = [point.loss for point in curve.points if point.loss is not None]
        best = curve.best
        rows.append(
            (
                name,
                curve.model,
                f"{curve.points[-1].step:,}",
                short(losses[-1]) if losses else "-",
                "-" if best is None else short(best.valid_loss),
                "-" if best is None else f"{best.step:,}",
            )
        )
    return Table(("run", "model", "steps", "train", "best valid", "at step"), tuple(rows), words=2, drop=("model",))


def finding(curves: Sequence[Any]) -> str:
    """Says which run has the lowest validation loss, and when.

    Args:
        curves: Records with the fields of a learning curve.
    """
    names = short_names([curve.run for curve in curves])
    known = [(curve.best, name) for curve, name in zip(curves, names, strict=True) if curve.best is not None]
    if not known:
        return "No validation yet"
    best, name = min(known, key=lambda pair: pair[0].valid_loss)
    whose = f" of {len(curves)} runs: {name}" if len(curves) > 1 else ""
    return f"Lowest validation loss{whose}, {short(best.valid_loss)} at step {best.step:,}"


def figure(curves: Sequence[Any]) -> "Figure":
    """Draws training losses as thin lines and validation losses as lines with dots, a colour for each run.

    Args:
        curves: Records with the fields of a learning curve.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7.6, 4.4), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.add_subplot()
    ends = []
    for place, (name, curve) in enumerate(zip(short_names([c.run for c in curves]), curves, strict=True)):
        colour, style = SERIES[place % len(SERIES)], STYLES[place // len(SERIES) % len(STYLES)]
        train, valid = (_line(curve.points, field) for field in ("loss", "valid_loss"))
        axes.plot(*train, style, color=colour, linewidth=0.8, alpha=0.6)
        axes.plot(*valid, style, color=colour, linewidth=1.8, marker="o", markersize=3.5)
        line = valid if valid[0] else train
        ends.append((line[0][-1], _last(line[1]), plain_label(name), colour))
    axes.set_xlabel("training step; thin: training, dots: validation")
    axes.set_ylabel(curves[0].loss_label)
    axes.set_title(plain_label(finding(curves)), loc="left", fontsize=10.5)
    clean(axes)
    label_ends(axes, [end for end in ends if math.isfinite(end[1])])
    return drawn


def write_figure(curves: Sequence[Any], path: Path) -> None:
    """Writes the picture, in the format that the name of the file ends with.

    Args:
        curves: Records with the fields of a learning curve.
        path: The file.
    """
    save_figure(figure(curves), path)


def _line(points, field):
    """(steps, losses) of the points that have the field; a gap where it is no number that can be drawn."""
    chosen = [(point.step, getattr(point, field)) for point in points if getattr(point, field) is not None]
    return [step for step, _ in chosen], [drawable(loss) for _, loss in chosen]


def _last(losses):
    return next((loss for loss in reversed(losses) if math.isfinite(loss)), math.nan)
