"""The gradient between the tokens of one text: a heat map, the same in the terminal, and how far each token reaches.

`log_shares` [N, N] is the natural log of G[i, j] / G[i, i]: what is left at past[j] of the gradient of the loss on
predicted[i]; NaN for j > i.
"""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lm_jax.report.study import Picture, Record, versions, write_study
from lm_jax.report.table import Table
from lm_jax.report.visible_text import one_line


LABELS = 64  # as many tick labels as can be read
COLUMNS = {
    "position": "of the predicted token in the text, from 1",
    "token": "that is predicted",
    "nats": "loss on it (nats)",
    **{
        name.format(share): words.format(share)
        for share in (10, 1)
        for name, words in (
            ("back_{}", "tokens back to the farthest one that has {} % of the gradient; 1 is the token just before"),
            ("token_{}", "the farthest past token that has {} % of the gradient"),
        )
    },
}
DECADES = 4  # of the colours: below 0.01 % all is one
# Shades of the terminal, with colours of viridis: the smallest share of each.
SHADES = ((0.5, "██", "#fde725"), (0.1, "▓▓", "#5ec962"), (0.01, "▒▒", "#21918c"), (0.001, "░░", "#3b528b"))
FAINT = ("··", "#777777")


def heat_map(
    log_shares: Float[np.ndarray, "N N"], past: Sequence[str], predicted: Sequence[str], title: str = ""
) -> Any:
    """Makes a matplotlib figure: a row for each predicted token, a column for each token before it, colour by log10.

    Args:
        log_shares: Natural logs of the shares of the gradient, predictions by past tokens.
        past: The tokens that were read, the first is the start.
        predicted: The tokens that were predicted.
        title: The finding, written above.
    """
    from matplotlib.figure import Figure

    count = len(past)
    every = math.ceil(count / LABELS)
    side = max(4.0, 0.17 * count / every + 1.2)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.add_subplot()
    decades = log_shares / math.log(10)
    top = max(0.0, float(np.nanmax(decades, initial=0.0)))
    image = axes.imshow(np.maximum(decades, -2 * DECADES), cmap="viridis", vmin=-DECADES, vmax=top, aspect="auto")
    # a token may have a $, which is no mathematics
    ticks, style = range(0, count, every), {"parse_math": False, "fontsize": 8}
    axes.set_xticks(ticks, [past[k] for k in ticks], rotation=90 if max(map(len, past)) > 1 else 0, **style)
    axes.set_yticks(ticks, [predicted[k] for k in ticks], **style)
    axes.set_title(textwrap.fill(title, int(12 * side)), loc="left", fontsize=9, parse_math=False)
    axes.set_xlabel("past token")
    axes.set_ylabel("predicted token")
    axes.tick_params(length=0)
    axes.spines[["top", "right"]].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, extend="min", label="share of the gradient that is left")
    exponents = range(-DECADES, math.floor(top) + 1)
    bar.set_ticks(list(exponents), labels=[f"{100.0 * 10.0**k:g} %" for k in exponents])
    return figure


def reach(log_shares: Float[np.ndarray, "N N"], threshold: float) -> list[int | None]:
    """Returns for each predicted token how many steps back the farthest past token is that still has this share.

    0 is the token just before. None where the loss has no gradient at all.
    """
    with np.errstate(invalid="ignore"):
        seen = log_shares >= math.log(threshold)
    return [i - int(np.argmax(row)) if row.any() else None for i, row in enumerate(seen)]


def answer(log_shares: Float[np.ndarray, "N N"], past: Sequence[str], predicted: Sequence[str]) -> str:
    """Says in one sentence how far the loss on the last token reaches.

    Args:
        log_shares: Natural logs of the shares of the gradient, predictions by past tokens.
        past: The tokens that were read, the first is the start.
        predicted: The tokens that were predicted.
    """
    last = len(predicted) - 1
    lag_10, lag_1 = (reach(log_shares, threshold)[last] for threshold in (0.1, 0.01))
    if lag_10 is None or lag_1 is None:
        return f"The loss on the last token, {predicted[last]!r}, has no gradient at all."
    return (
        f"More than 10 % of the gradient of the loss on the last token, {predicted[last]!r}, reaches back to "
        f"{past[last - lag_10]!r} ({_back(lag_10)}), more than 1 % to {past[last - lag_1]!r} ({_back(lag_1)})."
    )


def _back(lag):
    """Words a lag as tokens before the predicted one."""
    return f"{_tokens_back(lag)} back"


def _tokens_back(lag):
    """How many tokens before the predicted one a lag is: 1 for lag 0, the token just before."""
    return None if lag is None else lag + 1


def reach_rows(
    log_shares: Float[np.ndarray, "N N"], past: Sequence[str], predicted: Sequence[str], nats: Float[np.ndarray, "N"]
) -> list[dict[str, Any]]:
    """Returns a row for each predicted token: its loss, and the farthest past tokens with 10 % and 1 % of its gradient.

    back_10 and back_1 are how many tokens back these are, 1 for the token just before.

    Args:
        log_shares: Natural logs of the shares of the gradient, predictions by past tokens.
        past: The tokens that were read, the first is the start.
        predicted: The tokens that were predicted.
        nats: The loss on each predicted token.
    """
    rows = [
        {"position": i + 1, "token": token, "nats": float(loss)}
        for i, (token, loss) in enumerate(zip(predicted, nats, strict=True))
    ]
    for percent in (10, 1):
        for i, lag in enumerate(reach(log_shares, percent / 100)):
            farthest = None if lag is None else past[i - lag]
            rows[i] |= {f"back_{percent}": _tokens_back(lag), f"token_{percent}": farthest}
    return rows


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Returns `reach_rows` as texts."""
    lines = []
    for row in rows:
        far = ["-" if row[f"back_{k}"] is None else f"{row[f'token_{k}']} ({row[f'back_{k}']} back)" for k in (10, 1)]
        lines.append((row["token"], far[0], far[1], f"{row['nats']:.2f}"))
    return Table(("predicted", "10 % reaches", "1 % reaches", "nats"), tuple(lines), words=3, drop=("nats",))


def shaded(log_shares: Float[np.ndarray, "N N"], predicted: Sequence[str], width: int) -> Any:
    """Returns the map as a rich Text, two characters a cell, columns in the order of the rows; None if it is too wide.

    Args:
        log_shares: Natural logs of the shares of the gradient, predictions by past tokens.
        predicted: The tokens that were predicted.
        width: The columns of the terminal.
    """
    from rich.text import Text

    predicted = [one_line(token) for token in predicted]
    margin = max(map(len, predicted)) + 1
    if margin + 2 * len(predicted) > width:
        return None
    text = Text()
    for i, name in enumerate(predicted):
        text.append(f"{name:>{margin - 1}} ")
        for log_share in log_shares[i, : i + 1]:
            text.append(*_shade(log_share))
        text.append("\n")
    text.append(" " * margin)
    for share, sign, colour in SHADES:
        text.append(sign, colour)
        text.append(f" over {100 * share:g} %  ")
    text.append(*FAINT)
    text.append(" less; columns: the tokens before, from the start on")
    return text


def _shade(log_share):
    for share, sign, colour in SHADES:
        if log_share >= math.log(share):
            return sign, colour
    return FAINT


def write_heat_map(
    folder: Path,
    log_shares: Float[np.ndarray, "N N"],
    past: Sequence[str],
    predicted: Sequence[str],
    nats: Float[np.ndarray, "N"],
    *,
    record: dict[str, Any],
    command: str,
) -> list[Path]:
    """Writes heat_map.json, heat_map.csv, heat_map.png and report.html, and returns their paths.

    Args:
        folder: Where to write.
        log_shares: Natural logs of the shares of the gradient, predictions by past tokens.
        past: The tokens that were read, the first is the start.
        predicted: The tokens that were predicted.
        nats: The loss on each predicted token.
        record: The measured values, for the JSON.
        command: The command that makes the page.
    """
    caption = (
        f"Layer {record['layer']} of {record['run']}. Each row is a predicted token, each column a token read "
        "before it, from ⏎, the start; the colour says what share of the gradient of the loss on the row is left "
        "at the column."
    )
    finding = answer(log_shares, past, predicted)
    study = Record(
        name="heat_map",
        title="Which past tokens the loss on each token still reaches",
        question=f"In “{record['text']}”, which past tokens does the loss on each token still reach?",
        expected="Rows that fade to the left: within a few tokens in a plain recurrent network, later with gates.",
        answer=finding,
        command=command,
        results={**record, "past": list(past), "predicted": list(predicted), "log_shares": log_shares},
        rows=reach_rows(log_shares, past, predicted, nats),
        versions=versions(),
        columns=COLUMNS,
    )
    return write_study(folder, study, [Picture("heat_map", heat_map(log_shares, past, predicted, finding), caption)])
