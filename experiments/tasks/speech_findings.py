"""What the errors of speech.py say, and their pictures."""

from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import percent, with_ends
from experiments.harness.rows import where
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


ATTENTION, CTC = "attention, beam 5", "CTC, beam 8"
WITHOUT_BEAM = {ATTENTION: "attention, greedy", CTC: "CTC, best path"}
COLOURS = dict(zip((ATTENTION, CTC), SERIES, strict=False))
CLEAR, HALF_AT = 5, -10  # dB
FEW, HALF, POINT, IN_PLACE = 0.02, (0.4, 0.6), 0.01, 0.9  # expected rates and shares
COLUMNS = {
    "dB": "signal-to-noise ratio of the whole string (dB)",
    "search": "the output that was read, and how",
    "error rate": "digits changed, left out or put in, over the digits spoken; in brackets 95 % of resampled strings",
    "attention": "the same, with attention and a beam of 5",
    "CTC": "the same, by CTC with a beam of 8",
    "attention less CTC": "difference of the two rates; in brackets 95 % of resampled strings",
    "low": "lower end of the interval",
    "high": "upper end of the interval",
    "changed": "digits changed, over the digits spoken",
    "left out": "digits left out, over the digits spoken",
    "put in": "digits put in, over the digits spoken",
}


def draw_errors(rows: list[dict[str, Any]], title: str):
    """Digit error rate against the signal-to-noise ratio; and which errors they are where there are most."""
    figure, (rates, kinds) = panels((10.0, 4.5), 1, 2)
    ends = []
    for name, colour in COLOURS.items():
        found, without_beam = where(rows, search=name), where(rows, search=WITHOUT_BEAM[name])
        levels = [row["dB"] for row in found]
        rate, low, high = ([100 * row[field] for row in found] for field in ("error rate", "low", "high"))
        rates.plot(levels, rate, "o-", color=colour, markersize=4)
        rates.fill_between(levels, low, high, color=colour, alpha=0.2, linewidth=0)
        rates.plot(levels, [100 * row["error rate"] for row in without_beam], ":", color=colour)
        ends.append((levels[-1], rate[-1], name.partition(",")[0], colour))
    rates.set_yscale("symlog", linthresh=1)
    rates.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    rates.set_ylim(0, 100)
    words = {"xlabel": "signal-to-noise ratio (dB)"}
    finish(rates, ends, better(rows), ylabel="digit error rate (%), linear below 1 %", **words)
    finish(kinds, (), draw_kinds(kinds, rows), ylabel="share of the spoken digits (%)", **words)
    headline(figure, title)
    return figure


def draw_kinds(axes: Any, rows: list[dict[str, Any]]) -> str:
    """Bars of errors of the three loudest noises, and what they say of the loudest."""
    levels = sorted({row["dB"] for row in rows})[:3]
    for side, (name, colour) in zip((-1, 1), COLOURS.items(), strict=True):
        found, bottom = where(rows, search=name)[: len(levels)], np.zeros(len(levels))
        places = np.arange(len(levels)) + 0.2 * side
        for kind, alpha in {"changed": 1.0, "left out": 0.55, "put in": 0.25}.items():
            heights = np.array([100 * row[kind] for row in found])
            axes.bar(places, heights, 0.36, bottom=bottom, color=colour, alpha=alpha)
            if heights[0] > 4:
                at = places[0], bottom[0] + heights[0] / 2
                axes.annotate(kind, at, ha="center", va="center", fontsize=8, color="white" if alpha == 1 else "black")
            bottom += heights
        axes.annotate(name.partition(",")[0], (places[0], bottom[0] + 1), ha="center", fontsize=8.5, color=colour)
    axes.set_xticks(range(len(levels)), [str(level) for level in levels])
    attention, ctc = (where(rows, search=name)[0] for name in COLOURS)
    return f"Left out at {levels[0]} dB: attention {attention['left out']:.0%}, CTC {ctc['left out']:.0%}"


def better(rows: list[dict[str, Any]]) -> str:
    """The levels at which one has fewer errors than the other in over 95 % of the resampled strings."""
    differences = where(rows, search="attention less CTC")
    wins = {"attention": [row["dB"] for row in differences if row["high"] < 0]}
    wins["CTC"] = [row["dB"] for row in differences if row["low"] > 0]
    texts = [f"{name} at {', '.join(map(str, levels))}" for name, levels in wins.items() if levels]
    return f"Fewer errors: {'; '.join(texts) or 'none'} dB"


def draw_attention(example: dict[str, Any], share: float):
    """The features of a test string, and below them where each of its digits was read."""
    heard, weights, digits = (np.asarray(example[name]) for name in ("heard", "weights", "digits"))
    hop, stack, centres = example["hop"], example["stack"], example["centres"]
    figure, (above, below) = panels((8.0, 5.8), 2, 1, sharex=True)
    times = example["half_frame"] + hop * (np.arange(len(heard) + 1) - 0.5)
    image = above.pcolormesh(times, np.arange(len(centres) + 1) - 0.5, heard.T, cmap="magma", rasterized=True)
    figure.colorbar(image, ax=above, label="log energy")
    ticks = range(3, len(centres), 7)
    above.set_yticks(list(ticks), [f"{centres[k] / 1000:.1f}" for k in ticks])
    above.set_ylabel("centre of the mel band (kHz)")
    steps = times[0] + stack * hop * np.arange(weights.shape[1] + 1)
    image = below.pcolormesh(steps, np.arange(len(digits) + 1) - 0.5, weights, cmap="viridis", vmin=0, rasterized=True)
    figure.colorbar(image, ax=below, label="weight of attention")
    for k, (begin, end) in enumerate(example["words"]):
        below.plot([begin, end, end, begin, begin], np.array([-0.5, -0.5, 0.5, 0.5, -0.5]) + k, color="white", lw=1)
    below.set_yticks(range(len(digits)), [str(digit) for digit in digits])
    below.invert_yaxis()
    below.set(xlim=(times[0], times[-1]), xlabel="time (s)", ylabel="digit that is written")
    headline(figure, f"{share:.0%} of digits are read within their own word (±{1000 * stack * hop:.0f} ms)")
    return figure


def findings(results: dict[str, Any]) -> Findings:
    """What the errors say."""
    rows, share, example = results["rows"], results["read in place"], results.get("example")
    clear = {name: max(row["error rate"] for row in where(rows, search=name) if row["dB"] >= CLEAR) for name in COLOURS}
    attention, ctc = clear[ATTENTION], clear[CTC]
    better = "CTC reads" if ctc < attention else "attention reads"
    title = f"In little noise {better} digits better: at most {min(clear.values()):.1%} wrong"
    drawn = Picture(
        "errors",
        draw_errors(rows, title),
        f"Errors over the {results['digits']} digits of {results['strings']} test strings, one seed; bands: 95 % of "
        "resampled strings; dotted: without a beam. To the right which errors they are: digits changed, left out and, "
        "palest, put in.",
    )
    looked = Picture(
        "attention",
        draw_attention(example, share) if example else None,
        "Above, the log-mel features of a test string at 10 dB; below, where the decoder looked as it wrote each "
        "digit, with the word itself in a frame. The share is that of all test strings in the least noise.",
    )
    return Findings(
        title=title,
        answer=f"From {CLEAR} dB upwards attention gets up to {attention:.1%} of the digits wrong, CTC up to "
        f"{ctc:.1%}.",
        verdicts=verdicts(rows, clear, share),
        means=short_table(rows),
        rows=rows,
        columns=COLUMNS,
        pictures=[drawn, looked],
        seeds=[results.get("seed", 0)],
    )


def short_table(rows) -> list[dict[str, Any]]:
    """A line a level: both error rates and their difference, with intervals."""
    lines = []
    for level in sorted({row["dB"] for row in rows}):
        row = {"dB": level}
        for column, search in (("attention", ATTENTION), ("CTC", CTC), ("attention less CTC", "attention less CTC")):
            (one,) = where(rows, search=search, dB=level)
            row[column] = with_ends(one["error rate"], one["low"], one["high"], percent)
        lines.append(row)
    return lines


def verdicts(rows, clear, share: float) -> list[Verdict]:
    """The parts of the expectation."""
    levels = sorted({row["dB"] for row in rows})
    half = [row["error rate"] for name in COLOURS for row in where(rows, search=name, dB=HALF_AT)]
    apart = abs(where(rows, search="attention less CTC", dB=levels[-1])[0]["error rate"])
    loud, written = (where(rows, search=name, dB=levels[0])[0] for name in (CTC, ATTENTION))
    kinds = ("changed", "left out", "put in")
    return [
        Verdict(
            f"below {FEW:.0%} of errors for both from {CLEAR} dB upwards",
            " and ".join(f"{value:.1%}" for value in clear.values()),
            max(clear.values()) < FEW,
        ),
        Verdict(
            f"half of the digits wrong near {HALF_AT} dB (40 % to 60 %)",
            " and ".join(f"{value:.0%}" for value in half) or "-",
            all(HALF[0] <= value <= HALF[1] for value in half) if half else None,
        ),
        Verdict(f"within a point of each other in the least noise ({levels[-1]} dB)", f"{apart:.1%}", apart < POINT),
        Verdict(
            f"in the loudest noise ({levels[0]} dB) CTC mostly leaves digits out, and more than attention",
            f"{loud['left out']:.0%} against {written['left out']:.0%}",
            max(kinds, key=lambda kind: loud[kind]) == "left out" and loud["left out"] > written["left out"],
        ),
        Verdict(
            "while attention mostly writes wrong digits",
            f"{written['changed']:.0%} changed",
            max(kinds, key=lambda kind: written[kind]) == "changed",
        ),
        Verdict(
            f"attention reads each digit where it is spoken (over {IN_PLACE:.0%})", f"{share:.1%}", share > IN_PLACE
        ),
    ]
