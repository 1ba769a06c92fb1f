"""What the networks of long_distance.py say."""

from typing import Any

import numpy as np

from experiments.gradients.long_distance_figures import draw_problems, draw_stories
from experiments.gradients.long_distance_stories import ASKED, CHANCE, FAR
from experiments.harness import Findings, Verdict
from experiments.harness.means import INTERVAL, RANGE, number, percent, share_with_interval, with_interval, with_range
from lm_jax.report.study import Picture


SHOWN = ("h of all words", "carry of all words", "carry of the last word")
RIGHT, ORDERED = 0.9, 0.9  # a share; a rank correlation
COLUMNS = {
    "task": "predicting the last noun of a story, or a problem without words",
    "model": "cell",
    "seed": "of the draw of weights and batches",
    "distance": "words between the two mentions, or the delay (steps)",
    "score": "variance explained (adding), or share of symbols right" + INTERVAL,
    "right within": "share of nouns right at the distances within those trained on; means: 95 % interval over seeds",
    "right beyond": f"the same at {FAR[0]} to {FAR[-1]} words, beyond all that was trained on",
    "new nouns right": "share right of nouns that no story had in training",
    **{
        f"horizon 1 %, {over}": f"words back at which less than 1 % of the gradient by {over} is left" + RANGE
        for over in SHOWN
    },
    **{
        f"{among}, {kind}": f"share of last words right among {among}, of nouns that are {kind} "
        f"{'from stories' if kind == 'known' else 'to stories'}"
        for among in ("nouns", "new nouns", "all words")
        for kind in ("known", "new")
    },
    **{
        f"horizon {share}, {leaf} of {what}": f"words back at which less than {share} of the gradient by "
        f"{'h' if leaf == 'h' else 'the whole carry'}, of {what}, is left"
        for leaf in ("h", "carry")
        for what in ("all words", "the last word")
        for share in (0.1, 0.01)
    },
}


def beyond(result):
    """Accuracy at the distances beyond those trained on, known nouns."""
    return float(np.mean([a for n, a in zip(ASKED, result["right"]["nouns, known"], strict=True) if n in FAR]))


def within(result):
    """Accuracy at the distances within those trained on, known nouns."""
    return float(np.mean([a for n, a in zip(ASKED, result["right"]["nouns, known"], strict=True) if n not in FAR]))


def rank_correlation(x, y) -> float:
    """Spearman's: the correlation of ranks, those that tie sharing theirs."""
    ranks = [[np.mean(np.less(v, a)) + np.mean(np.less_equal(v, a)) for a in v] for v in (x, y)]
    return float(np.corrcoef(ranks)[0, 1])


def to_rows(results, solved):
    """A row for each network and distance, and for each problem, cell, delay and seed."""
    rows = []
    for name, own in results.items():
        for seed, result in enumerate(own):
            found = result["horizons"].items()
            horizons = {f"horizon {share}, {over}": at for over, by in found for share, at in by.items()}
            for k, n in enumerate(ASKED):
                right = {key: values[k] for key, values in result["right"].items()}
                rows.append({"task": "story", "model": name, "seed": seed, "distance": n, **right, **horizons})
    for problem, by_cell in solved.items():
        for cell, by_delay in by_cell.items():
            for d, found in by_delay.items():
                for seed, score in enumerate(found["score"]):
                    rows.append({"task": problem, "model": cell, "seed": seed, "distance": int(d), "score": score})
    return rows


def short_table(results, solved) -> list[dict[str, Any]]:
    """A line a cell with intervals, then a line a network, then a line a problem and delay."""
    lines = []
    for name, own in results.items():
        row = {"task": "story, mean", "model": name}
        row |= {"right within": share_with_interval([within(r) for r in own])}
        row |= {"right beyond": share_with_interval([beyond(r) for r in own])}
        row |= {"new nouns right": share_with_interval([np.mean(r["right"]["nouns, new"]) for r in own])}
        lags = own[0]["lags"]
        lines.append(row | {_head(over): _horizons([r["horizons"][over]["0.01"] for r in own], lags) for over in SHOWN})
    for name, own in results.items():
        for seed, r in enumerate(own):
            row = {"task": f"story, seed {seed}", "model": name, "right within": percent(within(r))}
            row["right beyond"] = percent(beyond(r))
            lines.append(row | {_head(over): _horizons([r["horizons"][over]["0.01"]], r["lags"]) for over in SHOWN})
    for problem, by_cell in solved.items():
        for cell, by_delay in by_cell.items():
            for d, found in by_delay.items():
                score = with_interval(found["score"])
                lines.append({"task": problem, "model": cell, "distance": int(d), "score": score})
    return lines


def _head(over):
    return f"horizon 1 %, {over}"


def _horizons(values, lags):
    return with_range(values, number, f"over {lags}")


def findings(results: dict[str, Any]) -> Findings:
    """What the networks say."""
    stories, solved = results["stories"], results["problems"]
    delays = tuple(int(d) for d in next(iter(next(iter(solved.values())).values())))
    far = {name: float(np.mean([beyond(r) for r in own])) for name, own in stories.items()}
    said = [f"the {name.upper()} {value:.0%}" for name, value in far.items()]
    first, best = min(far, key=far.get), max(far, key=far.get)
    ends = [f"the {name.upper()} is right in {far[name]:.0%}" for name in (best, first)]
    title = f"Over distances never trained on {', '.join(ends)}"
    pictures = [
        Picture(
            "accuracy",
            draw_stories(stories, title),
            "Share of last words right against distance: mean and range over seeds. None of the distances asked for "
            "was trained on; those trained on lie in the grey zone. Among all nouns new ones are right in at most "
            f"{new_right(stories):.0%}.",
        ),
        Picture(
            "problems",
            draw_problems(solved, delays, _longest(solved, delays[-1])),
            "Adding, copy and echo: networks trained anew for each delay, mean and range over seeds.",
        ),
    ]
    return Findings(
        title=title,
        answer=f"Beyond the distances trained on networks repeat the right noun: {', '.join(said)}, by chance "
        f"{'one in ten' if round(1 / CHANCE) == 10 else 'seldom'}.",
        verdicts=verdicts(stories, far),
        means=short_table(stories, solved),
        rows=to_rows(stories, solved),
        columns=COLUMNS,
        pictures=pictures,
        seeds=range(len(next(iter(stories.values())))),
    )


def _longest(solved, delay: int) -> str:
    """The best score of each problem at the longest delay."""
    best = []
    for problem, by_cell in solved.items():
        means = {cell: float(np.mean(by_delay[str(delay)]["score"])) for cell, by_delay in by_cell.items()}
        cell = max(means, key=lambda name: means[name])
        best.append(f"{problem} {means[cell]:.2f} ({cell.upper()})")
    return f"Best scores at a delay of {delay}: {', '.join(best)}"


def new_right(stories) -> float:
    """The share of new nouns, among all, that the best cell has right."""
    return max(float(np.mean([r["right"]["nouns, new"] for r in own])) for own in stories.values())


def verdicts(stories, far: dict[str, float]) -> list[Verdict]:
    """The parts of the expectation, of the cells that were trained."""
    near = {name: float(np.mean([within(r) for r in own])) for name, own in stories.items()}
    gated = {name: value for name, value in near.items() if name in ("gru", "lstm")}
    new = new_right(stories)
    steady = [name for name in far if far[name] >= near[name]]
    networks = [result for own in stories.values() for result in own]
    best, ranks = None, {}
    if len(networks) > 2:
        right = [beyond(result) for result in networks]
        ranks = {o: rank_correlation([r["horizons"][o]["0.01"] or np.inf for r in networks], right) for o in SHOWN}
        best = max(ranks, key=lambda over: ranks[over])
    falls = None
    if "rnn" in stories:
        curve = np.mean([r["right"]["nouns, known"] for r in stories["rnn"]], axis=0)
        falls = [float(a) for n, a in zip(ASKED, curve, strict=True) if n not in FAR]
    return [
        Verdict(
            f"within the distances trained on gated cells are right (over {RIGHT:.0%})",
            ", ".join(f"{name} {value:.0%}" for name, value in gated.items()),
            min(gated.values()) > RIGHT,
        ),
        Verdict(
            "and the simple RNN falls with distance (from the first to the last of them)",
            "-" if falls is None else f"{falls[0]:.0%} to {falls[-1]:.0%}, {max(falls):.0%} at most",
            None if falls is None else falls[-1] < falls[0],
        ),
        Verdict("beyond them all fall", f"{', '.join(steady) or 'none'} does not", not steady),
        Verdict(
            "the RNN is the worst there",
            ", ".join(f"{name} {value:.0%}" for name, value in far.items()),
            min(far, key=lambda name: far[name]) == "rnn" if len(far) > 1 else None,
        ),
        Verdict(
            f"the order is that of the gradient horizons (rank correlation of {ORDERED} by some definition)",
            "-" if best is None else f"{ranks[best]:.2f} by {best} at most",
            None if best is None else ranks[best] >= ORDERED,
        ),
        Verdict("nouns new to the stories are harder for all", f"{new:.0%} right at most", new < min(near.values())),
    ]
