"""Which words a label rests on: coloured words in the terminal, and a picture with the two measures side by side."""

from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.report.labels import plain_label
from lm_jax.report.picture_file import save_figure
from lm_jax.report.style import SERIES, clean
from lm_jax.report.visible_text import one_line


FOR, AGAINST = "#0072B2", "#D55E00"  # colours of words that speak for the label, and against it
WIDEST = 14  # letters of a word in the picture
ROUNDING = 1e-6  # nats below which a number is an error of float32


def coloured_words(explanation: Any) -> Any:
    """Returns the label, the words in colours, and the words with the largest effects with their numbers, as a rich
    Text; the numbers tell what the colours do.

    explanation: an `Explanation` (lm_jax/queries/classify.py).
    """
    from rich.text import Text

    largest = max(map(abs, explanation.gradient)) or 1.0
    text = Text(one_line(f"{explanation.label} ({explanation.probability:.1%})") + "\n  ")
    for word, weight in zip(explanation.words, explanation.gradient, strict=True):
        strength = abs(weight) / largest
        colour = FOR if weight > 0 else f"underline {AGAINST}"  # a colour is never alone
        text.append(one_line(word), style=f"bold {colour}" if strength > 0.5 else colour if strength > 0.1 else "dim")
        text.append(" ")
    order = np.argsort(-np.abs(explanation.occlusion), kind="stable")[:5]
    for place in order:
        text.append(
            f"\n  {one_line(explanation.words[place]):<{WIDEST}} gradient {explanation.gradient[place]:+.3f}  "
            f"occlusion {explanation.occlusion[place]:+.3f} nats"
        )
    text.append(f"\n  {_agreement(explanation)}\n")
    return text


def draw_words(explanation: Any, path: Path) -> None:
    """Draws the gradient of the label by each word and what its occlusion costs, as a PNG."""
    from matplotlib.figure import Figure

    places = np.arange(len(explanation.words))
    figure = Figure(figsize=(7, 1.2 + 0.24 * len(places)), layout="constrained")
    axes = figure.subplots()
    axes.barh(places - 0.2, explanation.gradient, 0.38, color=SERIES[0], label="gradient")
    axes.barh(places + 0.2, explanation.occlusion, 0.38, color=SERIES[1], label="occlusion")
    words = [plain_label(word if len(word) <= WIDEST else word[: WIDEST - 1] + "…") for word in explanation.words]
    label = plain_label(explanation.label)
    axes.set_yticks(places, words)
    axes.invert_yaxis()
    axes.set_xlabel(f"nats of log P({label}) that the word adds, against an unknown word")
    axes.set_title(f"{label} ({explanation.probability:.1%}): {_agreement(explanation)}", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    clean(axes)
    save_figure(figure, path)


def _agreement(explanation):
    """How far the two measures agree; two words always do, and numbers that are all the same have no correlation."""
    measures = np.array([explanation.gradient, explanation.occlusion])
    if np.abs(measures).max() < ROUNDING:
        return "no word adds anything: each is as good as an unknown one"
    if len(explanation.words) < 3:
        return "gradient beside occlusion"
    if not np.ptp(measures, axis=1).all():
        return "gradient and occlusion have no correlation: one is the same for every word"
    return f"gradient and occlusion correlate by {np.corrcoef(measures)[0, 1]:.2f}"
