"""The gradients of answers by the words of a sentence: a heat map, a table, and the finding in a sentence."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from lm_jax.data.tokenizers import JOINER
from lm_jax.report.study import Picture, Record, versions, write_study


LABELS = 64  # as many tick labels as can be read
DECADES = 4  # of the colours, below the largest
WIDEST = 16  # letters of a word in the picture
ARROWS = {"left to right": "→", "right to left": "←"}
UNIT = "nats by unit of the vector"


class StateNorms(Protocol):
    """Gradients of K answers by a state at S positions."""

    @property
    def layer(self) -> int:
        """0 is the lowest."""
        ...

    @property
    def direction(self) -> str:
        """One of `ARROWS`."""
        ...

    @property
    def leaf(self) -> str:
        """Of the carry."""
        ...

    @property
    def norms(self) -> Float[np.ndarray, "K S"]:
        """Norms of the gradients."""
        ...


class SourceMap(Protocol):
    """Gradients of K answers by S words and by states, as queries/source_gradients.py measures them."""

    @property
    def run(self) -> str:
        """The folder of the run."""
        ...

    @property
    def text(self) -> str:
        """The sentence."""
        ...

    @property
    def source(self) -> Sequence[str]:
        """Its words."""
        ...

    @property
    def answers(self) -> Sequence[str]:
        """Labels, tags or words of a translation."""
        ...

    @property
    def log_probs(self) -> Float[np.ndarray, "K"]:
        """Of the answers, in nats."""
        ...

    @property
    def norms(self) -> Float[np.ndarray, "K S"]:
        """By the vector of each word."""
        ...

    @property
    def states(self) -> Sequence[StateNorms]:
        """By each state."""
        ...


def shares(norms: Float[np.ndarray, "K S"]) -> Float[np.ndarray, "K S"]:
    """Returns the norms of each answer as shares of their sum; zeros for an answer without any gradient."""
    sums = norms.sum(axis=1, keepdims=True)
    return np.divide(norms, sums, out=np.zeros_like(norms), where=sums > 0)


def finding(found: SourceMap) -> str:
    """Says in a few words what the answers rest on: the title of the picture."""
    of_words = shares(found.norms)
    if not of_words.any():
        return "no answer has any gradient by a word"
    if len(found.answers) == 1:
        place = int(of_words[0].argmax())
        said, word = visible(found.answers[0]), visible(found.source[place])
        return f"{said!r} rests most on {word!r}: {of_words[0, place]:.0%} of the gradient"
    mean = of_words[of_words.any(axis=1)].max(axis=1).mean()
    return f"one word of {len(found.source)} has {mean:.0%} of an answer's gradient, on average"


def answer(found: SourceMap) -> str:
    """Says in a sentence what the answers rest on."""
    named = "label" if len(found.answers) == 1 else f"{len(found.answers)} answers"
    return f"Of the gradient norm of log P by {len(found.source)} words ({named}): {finding(found)}."


COLUMNS = {
    "answer": "label, tag or token that is predicted",
    "nats": "-log P(answer) (nats)",
    "norm": "gradient norms of log P(answer) by the words' vectors, summed (nats by unit of a vector)",
    **{
        name.format(k): words
        for k in (1, 2, 3)
        for name, words in (("word_{}", "a word that the answer rests on most"), ("share_{}", "its share of that sum"))
    },
}


def source_rows(found: SourceMap) -> list[dict[str, Any]]:
    """Returns a row for each answer: its log-probability, its summed norm, and the three words it rests on most."""
    rows = []
    for k, (said, of_words) in enumerate(zip(found.answers, shares(found.norms), strict=True)):
        row = {"answer": visible(said), "nats": -float(found.log_probs[k]), "norm": float(found.norms[k].sum())}
        for rank, place in enumerate(np.argsort(-of_words, kind="stable")[:3], 1):
            row |= {f"word_{rank}": visible(found.source[int(place)]), f"share_{rank}": float(of_words[place])}
        rows.append(row)
    return rows


def table(found: SourceMap) -> str:
    """Aligned lines of `source_rows`."""
    lines = [("answer", "nats", "norm", "rests most on")]
    for row in source_rows(found):
        words = [f"{row[f'word_{k}']} {row[f'share_{k}']:.0%}" for k in (1, 2, 3) if f"word_{k}" in row]
        lines.append((row["answer"], f"{row['nats']:.3f}", f"{row['norm']:.2e}", ", ".join(words)))
    widths = [max(len(line[k]) for line in lines) for k in range(3)]
    return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in lines)


def source_figure(found: SourceMap) -> Any:
    """Makes a matplotlib figure of two heat maps over the words: a row for each answer, and a row for each state."""
    from matplotlib.figure import Figure

    of_states = [state.norms.mean(axis=0) for state in found.states]
    names = [f"layer {state.layer} {ARROWS[state.direction]} {state.leaf}" for state in found.states]
    heights = [len(found.answers), len(of_states)]
    width = max(5.0, 0.24 * min(len(found.source), LABELS) + 2.6)
    figure = Figure(figsize=(width, 2.2 + 0.22 * sum(min(height, LABELS) for height in heights)), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    panels = ((above, found.norms, found.answers, "answer"), (below, np.asarray(of_states), names, "state"))
    top = math.log10(max(float(norms.max(initial=0.0)) for _, norms, _, _ in panels) or 1.0)
    images = []
    for axes, norms, labels, title in panels:
        with np.errstate(divide="ignore"):
            decades = np.maximum(np.log10(norms), top - 2 * DECADES)
        images.append(axes.imshow(decades, cmap="viridis", vmin=top - DECADES, vmax=top, aspect="auto"))
        _ticks(axes.set_yticks, labels)
        axes.set_ylabel(title)
        axes.tick_params(length=0)
    mean = "" if len(found.answers) == 1 else " (mean over the answers)"
    above.set_title(f"{finding(found)}\ngradient of log P(answer) by each word's vector", fontsize=9, loc="left")
    below.set_title(f"and by each state{mean}", fontsize=9, loc="left")
    turned = 90 if max(map(len, found.source)) > 1 else 0
    _ticks(below.set_xticks, found.source, rotation=turned)
    below.set_xlabel("word of the sentence")
    bar = figure.colorbar(images[0], ax=[above, below], extend="min", label=f"norm of the gradient ({UNIT})")
    exponents = range(math.ceil(top - DECADES), math.floor(top) + 1)
    bar.set_ticks(list(exponents), labels=[f"$10^{{{k}}}$" for k in exponents])
    return figure


def _ticks(set_ticks, labels, **style):
    every = math.ceil(len(labels) / LABELS)
    places = range(0, len(labels), every)
    # a word may have a $, which is no mathematics
    set_ticks(places, [_shortened(visible(labels[k])) for k in places], parse_math=False, fontsize=8, **style)


def visible(word: str) -> str:
    """Returns a word as it can be shown: a space by a sign, without marks of the tokenizer."""
    return "␣" if word == " " else word.strip(JOINER)


def _shortened(word):
    return word if len(word) <= WIDEST else word[: WIDEST - 1] + "…"


def write_source_map(folder: Path, found: SourceMap, command: str) -> list[Path]:
    """Writes heat_map.json, heat_map.csv, heat_map.png and report.html, and returns their paths.

    Args:
        folder: Where to write.
        found: The gradients of the answers.
        command: The command that makes the page.
    """
    caption = (
        f"Of {found.run}. Above, each row is an answer and each column a word of the sentence; below, each row is a "
        "state of the encoder, with an arrow for the direction in which it reads. The colour is the norm of the "
        "derivative of log P(answer), exactly."
    )
    study = Record(
        name="heat_map",
        title="Which words an answer rests on",
        question=f"In “{found.text}”, which words and states does each answer rest on?",
        expected="A few words decide; without attention or pooling, those that were read last.",
        answer=answer(found),
        command=command,
        results={name: getattr(found, name) for name in ("run", "text", "source", "answers", "log_probs", "norms")}
        | {"states": list(found.states)},
        rows=source_rows(found),
        versions=versions(),
        columns=COLUMNS,
    )
    return write_study(folder, study, [Picture("heat_map", source_figure(found), caption)])
