"""Figures of a run; every axis has a label with its unit."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_jax.report.picture_file import save_figure
from lm_jax.report.style import SPLIT_COLOURS, clean, threshold


HUGE = 1e300
UNITS = {"char": "character", "byte": "byte", "word": "word", "bpe": "token"}


def draw_loss_curve(
    records: list[dict[str, Any]], path: Path, label: str, references: Mapping[str, float] | None = None
) -> None:
    """Draws the training and validation loss of metrics.jsonl against the step, as a PNG.

    Args:
        records: lines of metrics.jsonl.
        path: of the picture.
        label: of the loss, with its unit.
        references: validation losses of other models by name, drawn as dotted lines.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    train = [(r["step"], drawable(r["loss"])) for r in records if "loss" in r]
    valid = [(r["step"], drawable(r["valid_loss"])) for r in records if "valid_loss" in r]
    references = {name: loss for name, loss in (references or {}).items() if math.isfinite(loss)}
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for points, name, colour, marker in (
        (train, "train", SPLIT_COLOURS["train"], None),
        (valid, "valid", SPLIT_COLOURS["valid"], "o"),
    ):
        if points:
            steps, losses = zip(*points, strict=True)
            axes.plot(steps, losses, color=colour, marker=marker, markersize=4, label=name)
    for name, loss in references.items():
        threshold(axes, loss, name, x=0.7)
    if train or valid:
        axes.legend(frameon=False, loc="upper right")
    axes.set_title(loss_finding(valid, references), loc="left", fontsize=10.5)
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    clean(axes)
    save_figure(figure, path)


def loss_finding(valid: Sequence[tuple[int, float]], references: Mapping[str, float]) -> str:
    """Says what the best validation loss is, and beside it that of the best other model."""
    known = [(loss, step) for step, loss in valid if math.isfinite(loss)]
    if not known:
        return ""
    loss, step = min(known)
    said = f"Best validation loss {loss:.3f}, at step {step:,}"
    if not references:
        return said
    name = min(references, key=lambda other: references[other])
    where = "below" if loss < references[name] else "not below"
    return f"{said}: {where} the {name}'s {references[name]:.3f}"


def drawable(value: float | None) -> float:
    """Returns a number of a log as a curve has it: NaN, which is a gap, for null and for one too large for axes."""
    return math.nan if value is None or not abs(value) < HUGE else value
