"""What the losses of exposure_bias.py say, and their picture."""

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import INTERVAL, means, with_interval
from experiments.harness.rows import groups, only, where
from lm_jax.report.study import Picture
from lm_jax.report.style import QUIET, SERIES


RATES = {"plain": 0.0, "scheduled sampling": 0.25}
DRAWN = 0.8  # a distance is drawn if so large a share of the lines is as long
KIND_COLOURS = dict(zip(RATES, SERIES, strict=False))
PAST_COLOURS = {"true": SERIES[0], "own": SERIES[1], "another": SERIES[2], "none": QUIET}
SOON, HALF = 5, (0.4, 0.6)  # characters; what counts as roughly a half
COLUMNS = {
    "kind": "how the network was trained",
    "seed": "of the draw of weights and batches",
    "n": "networks",
    "teacher_forced": "loss given the true past (nats per character)" + INTERVAL,
    "free_running": "loss given the past that the model wrote itself, by sampling (nats per character)",
    "free_running_greedy": "the same, when it wrote the most likely characters (nats per character)",
    "exposure_bias": "what its own past costs: the second less the first (nats per character)",
    "exposure_bias_error": "standard error of the bias over lines (nats per character)",
    "another_text": "loss after another text of the corpus (nats per character)",
}


def mean_curve(results: list[dict], kind: str, name: str) -> np.ndarray:
    """A curve over distances, the mean of the seeds, as far as most lines reach."""
    curves = [r["by_distance"] for r in where(results, kind=kind)]
    return np.mean([np.array(c[name])[np.array(c["lines"]) >= DRAWN * c["lines"][0]] for c in curves], axis=0)


def bias_curve(results: list[dict], kind: str) -> np.ndarray:
    """What the own past costs over distances."""
    return mean_curve(results, kind, "free_running") - mean_curve(results, kind, "teacher_forced")


def label(axes, curve: np.ndarray, text: str, colour: str, va: str = "center") -> None:
    """A line with its name at the right end."""
    axes.plot(np.arange(len(curve)), curve, color=colour)
    axes.annotate(f" {text}", (len(curve) - 1, np.mean(curve[-5:])), color=colour, va=va)


def draw(results: list[dict], unigram: float, finding: str):
    """Left: the losses of the plain model by distance. Right: the exposure bias of both models, seeds thin."""
    figure, (left, right) = panels((11, 4.5), 1, 2)
    true, own, another = (mean_curve(results, "plain", n) for n in ("teacher_forced", "free_running", "another_text"))
    label(left, true, "true past", PAST_COLOURS["true"])
    label(left, own, "own past", PAST_COLOURS["own"], "bottom")
    label(left, another, "another text", PAST_COLOURS["another"], "top")
    label(left, np.full_like(own, unigram), "unigram", PAST_COLOURS["none"])
    for kind in RATES:
        for result in where(results, kind=kind):
            curve = bias_curve([result], kind)
            right.plot(np.arange(len(curve)), curve, color=KIND_COLOURS[kind], alpha=0.3, linewidth=0.8)
        label(right, bias_curve(results, kind), kind, KIND_COLOURS[kind])
    for axes, title, ylabel in (
        (left, "Plain model: what the past is worth", "loss of the true character (nats)"),
        (right, "Own past minus true past", "exposure bias (nats per character)"),
    ):
        length = len(axes.get_lines()[0].get_xdata())
        limits = {"xlim": (0, 1.35 * (length - 1) + 1), "xticks": range(0, length, 10), "ylim": (0, None)}
        finish(axes, title=title, xlabel="own characters read", ylabel=ylabel, **limits)
    headline(figure, finding)
    return figure


def findings(results: dict) -> Findings:
    """What the losses say."""
    found, unigram = results["results"], results["unigram"]
    rows = [only(one, [name for name in COLUMNS if name != "n"]) for one in found]
    of = {name: with_interval for name in list(COLUMNS)[3:] if name != "exposure_bias_error"}
    plain, sampled = (
        {name: float(np.mean([row[name] for row in where(rows, kind=kind)])) for name in of} for kind in RATES
    )
    share = sampled["exposure_bias"] / plain["exposure_bias"]
    price = sampled["teacher_forced"] - plain["teacher_forced"]
    title = f"Scheduled sampling leaves {share:.0%} of the exposure bias, and raises the loss on true text"
    caption = "By the number of own characters read; mean over seeds, single seeds thin."
    return Findings(
        title=title,
        answer=f"Its own text costs a model {plain['exposure_bias']:.2f} nats per character; scheduled sampling leaves "
        f"{sampled['exposure_bias']:.2f}, and raises the loss on true text by {price:.2f}.",
        verdicts=verdicts(found, plain, sampled, unigram),
        means=means(rows, ("kind",), of),
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("exposure_bias", draw(found, unigram, title), caption)],
        seeds=list(groups(found, "seed")),
    )


def verdicts(found, plain, sampled, unigram: float) -> list[Verdict]:
    """The parts of the expectation."""
    own = mean_curve(found, "plain", "free_running")
    above = np.flatnonzero(own > unigram)
    cost = (sampled["another_text"] - sampled["teacher_forced"]) / (plain["another_text"] - plain["teacher_forced"])
    bias = sampled["exposure_bias"] / plain["exposure_bias"]
    least = min(one["another_text"] - one["free_running"] for one in where(found, kind="plain"))
    lowest = min(one["free_running"] for one in where(found, kind="scheduled sampling"))
    return [
        Verdict(
            f"given its own past the loss soon passes the unigram's (within {SOON} own characters)",
            f"after {above[0]}" if len(above) else "never",
            bool(len(above) and above[0] <= SOON),
        ),
        Verdict(
            "another text costs the plain model no less than its own (every seed)",
            f"{least:+.2f} nats at least",
            least >= 0,
        ),
        Verdict(
            "scheduled sampling raises the loss given the true past",
            f"{sampled['teacher_forced'] - plain['teacher_forced']:+.2f} nats",
            sampled["teacher_forced"] > plain["teacher_forced"],
        ),
        Verdict("and roughly halves the bias (to 40 % to 60 %)", f"to {bias:.0%}", HALF[0] <= bias <= HALF[1]),
        Verdict("it halves the cost of another text as well", f"to {cost:.0%}", HALF[0] <= cost <= HALF[1]),
        Verdict(
            "it stays above the unigram model (every seed)",
            f"{lowest:.2f} against {unigram:.2f} nats",
            lowest > unigram,
        ),
    ]
