"""Figures of a run; every axis has a label with its unit."""

import math
from pathlib import Path
from typing import Any

from lm_jax.report.picture_file import save_figure
from lm_jax.report.style import SPLIT_COLOURS, clean


HUGE = 1e300
UNITS = {"char": "character", "byte": "byte", "word": "word", "bpe": "token"}


def draw_loss_curve(records: list[dict[str, Any]], path: Path, label: str) -> None:
    """Draws the training and validation loss of metrics.jsonl against the step, as a PNG; label: of the loss."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    train = [(r["step"], _number(r["loss"])) for r in records if "loss" in r]
    valid = [(r["step"], _number(r["valid_loss"])) for r in records if "valid_loss" in r]
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for points, name, colour, marker in (
        (train, "train", SPLIT_COLOURS["train"], None),
        (valid, "valid", SPLIT_COLOURS["valid"], "o"),
    ):
        if points:
            steps, losses = zip(*points, strict=True)
            axes.plot(steps, losses, color=colour, marker=marker, markersize=4, label=name)
    if train or valid:
        axes.legend(frameon=False)
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    clean(axes)
    save_figure(figure, path)


def _number(value):
    """JSON has null for what is no number; a curve has a gap there, and at one too large for axes around it."""
    return math.nan if value is None or not abs(value) < HUGE else value
