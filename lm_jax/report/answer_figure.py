"""The picture of a run's telemetry where answers are about a sentence: their gradients against the training step."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.report.style import SERIES
from lm_jax.report.telemetry_figure import axes_of_steps, measurements, save_labelled


LEAST = 0.01  # per cent that a title tells


class AnswerWords(NamedTuple):
    """How a person reads of a measurement.

    answer: "label", "tag" or what else the model says. unit: what it reads, such as "word". distance: what a number is
    followed by, such as "words from the end of the text".
    """

    answer: str
    unit: str
    distance: str


def draw_answers(records: list[dict[str, Any]], path: Path, words: AnswerWords) -> None:
    """Draws the gradient of an answer by words at several distances, against the training step, as a PNG.

    A gradient of zero is a gap. No picture without telemetry.

    Args:
        records: The lines of metrics.jsonl.
        path: The file.
        words: How a person reads of it.
    """
    found = [(step, values["log_median"]) for step, values in measurements(records)]
    if not any(value is not None for _, medians in found for value in medians.values()):
        return
    axes = axes_of_steps(4.2)
    steps, ends = [step for step, _ in found], []
    for name, colour in zip(found[-1][1], SERIES, strict=False):
        logs = [medians.get(name) for _, medians in found]
        norms = [math.nan if log is None else math.exp(log) for log in logs]
        axes.plot(steps, norms, ".-", color=colour)
        if math.isfinite(norms[-1]):
            ends.append((steps[-1], norms[-1], name.replace("-", "–"), colour))
    of_answer = f"median gradient norm of log P({words.answer})"
    axes.set_ylabel(f"{of_answer}\n(nats by unit of a {words.unit}'s vector)", fontsize=9)
    axes.set_title(f"{answer_finding(*found[-1])}\nby distance: {words.distance}", loc="left", fontsize=9.5)
    save_labelled(axes, ends, path)


def answer_finding(step: int, medians: dict[str, float | None]) -> str:
    """Says how much of the nearest range's gradient the farthest one has, by the newest measurement."""
    near, far = next(iter(medians)), next(reversed(medians))
    at_near, at_far = medians[near], medians[far]
    where = f"at distance {far.replace('-', '–')}"
    if at_near is None:
        return f"At step {step:,} the gradient at distance {near} is zero"
    percent = 0.0 if at_far is None else 100 * math.exp(at_far - at_near)
    share = f"under {LEAST} %" if percent < LEAST else f"{percent:.2g} %" if percent < 100 else f"{percent:.0f} %"
    return f"At step {step:,} the gradient {where} is {share} of that at {near.replace('-', '–')}"
