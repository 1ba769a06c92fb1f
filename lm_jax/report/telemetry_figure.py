"""The picture of a run's telemetry: how far back the gradient reaches, against the training step."""

from pathlib import Path
from typing import Any

from lm_jax.report.figures import UNITS
from lm_jax.report.picture_file import save_figure
from lm_jax.report.style import SERIES, clean, label_ends


HORIZONS = {"horizon_10": "10 %", "horizon_1": "1 %"}


def draw_telemetry(records: list[dict[str, Any]], path: Path, level: str) -> None:
    """Draws the first lags where less than 10 % and 1 % of a gradient is left, against the training step, as a PNG.

    A horizon beyond the largest lag that is measured is drawn there, as an open triangle. No picture without telemetry.

    Args:
        records: The lines of metrics.jsonl.
        path: The file.
        level: What a token is: "char", "byte", "word" or "bpe".
    """
    horizons = measurements(records)
    if not horizons:
        return
    axes = axes_of_steps(4.0)
    steps, ends = [step for step, _ in horizons], []
    for (name, label), colour in zip(HORIZONS.items(), SERIES, strict=False):
        lags = [row["max_lag"] if row[name] is None else row[name] for _, row in horizons]
        axes.plot(steps, lags, ".-", color=colour)
        beyond = [(step, row["max_lag"]) for step, row in horizons if row[name] is None]
        axes.plot(*zip(*beyond, strict=True) if beyond else ([], []), "^", color=colour, markerfacecolor="white")
        ends.append((steps[-1], lags[-1], label, colour))
    axes.set_ylim(0.9, 1.15 * max(row["max_lag"] for _, row in horizons))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylabel(f"lag from which less than 10 %, 1 %\nof a gradient is left ({UNITS[level]}s)")
    axes.set_title(telemetry_finding(*horizons[-1]), loc="left", fontsize=10.5)
    save_labelled(axes, ends, path)


def measurements(records: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Returns the steps and values of all telemetry whose gradients were numbers.

    Args:
        records: The lines of metrics.jsonl.
    """
    return [(r["step"], r["telemetry"]) for r in records if r.get("telemetry", {}).get("log_median")]


def axes_of_steps(height: float) -> Any:
    """Makes the axes of a picture, with the training step below and a logarithmic scale beside.

    Args:
        height: Of the picture, in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_yscale("log")
    axes.set_xlabel("training step")
    return axes


def save_labelled(axes: Any, ends: list[tuple[Any, ...]], path: Path) -> None:
    """Writes the picture of `axes_of_steps`, with the names of its curves at their ends.

    Args:
        axes: Those of the picture.
        ends: Of the curves, as `label_ends` takes them.
        path: The file.
    """
    clean(axes)
    axes.figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    label_ends(axes, ends)
    save_figure(axes.figure, path)


def telemetry_finding(step: int, row: dict[str, Any]) -> str:
    """Says how far back the gradient reaches by the newest measurement."""
    last = row["max_lag"]
    ten, one = (f"over {last}" if row[name] is None else f"{row[name]}" for name in HORIZONS)
    return f"At step {step:,} a gradient is below 10 % from lag {ten} on, below 1 % from {one}"
