"""The answer, the table and the pictures of long_distance.py."""

import numpy as np

from experiments.gradients.long_distance_problems import PROBLEMS, SYMBOLS
from experiments.gradients.long_distance_stories import ASKED, CHANCE, FAR, KNOWN, NEW, TRAINED
from experiments.harness.figures import finish, log_ticks, panels
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, draw_band, threshold


SHOWN = ("h of all words", "carry of all words", "carry of the last word")


def draw_lines(axes, x, by_name, ymin):
    """A line a model with the range over seeds, named at its end."""
    ends = []
    for name, values in by_name.items():
        mean = draw_band(axes, x, values, COLOURS[name], "o-")
        ends.append((x[-1], mean[-1], name, COLOURS[name]))
    finish(axes, ends, xlim=(0.9 * min(x), 1.02 * max(x)), ylim=(ymin, 1.03))


def draw_stories(results):
    """Accuracy against distance, for nouns known from stories and new to them."""
    shown = {
        "nouns, known": ("nouns known from stories", CHANCE),
        "nouns, new": ("nouns new to stories", CHANCE),
        "new nouns, new": (f"which of the {len(NEW)} new nouns", 1 / len(NEW)),
    }
    figure, grid = panels((13, 4), 1, 3, sharey=True)
    for axes, (key, (title, chance)) in zip(grid, shown.items(), strict=True):
        axes.axvspan(min(TRAINED), max(TRAINED), color="0.93")
        log_ticks(axes, ASKED, fontsize=8)
        draw_lines(axes, ASKED, {name: [r["right"][key] for r in own] for name, own in results.items()}, 0)
        threshold(axes, chance, "chance")
        axes.set_xlabel("words between the two mentions")
        axes.set_title(title, fontsize=10)
    grid[0].set_ylabel(f"share of last words right, among {len(KNOWN + NEW)} nouns")
    return figure


def draw_horizons(results):
    """Accuracy beyond the distances trained on against the gradient horizon, a point a network."""
    figure, grid = panels((12, 4), 1, 3, sharey=True)
    for axes, over in zip(grid, SHOWN, strict=True):
        log_ticks(axes, (1, 2, 5, 10, 20, 50, 100))
        finish(axes, xlim=(1, 1.3 * ASKED[-1]), ylim=(0, 1.03))
        threshold(axes, CHANCE, "chance")
        for name, own in results.items():
            for k, result in enumerate(own):
                at, style = result["horizons"][over]["0.01"], {"color": COLOURS[name], "clip_on": False}
                label = name if k == 0 else None
                axes.plot(at or result["lags"], beyond(result), "o" if at else ">", label=label, **style)
        axes.set_xlabel(f"gradient horizon, 1 %, by {over} (words)", fontsize=9)
    grid[0].set_ylabel(f"right at {FAR[0]} to {FAR[-1]} words, known nouns")
    grid[0].legend(frameon=False, fontsize=8)
    return figure


def draw_problems(solved, delays):
    """Score against delay, a panel a problem."""
    figure, grid = panels((12, 3.8), 1, 3)
    for axes, (problem, label) in zip(grid, PROBLEMS.items(), strict=True):
        log_ticks(axes, delays)
        by_name = {cell: np.array([own[str(d)]["score"] for d in delays]).T for cell, own in solved[problem].items()}
        draw_lines(axes, delays, by_name, min(0, min(v.min() for v in by_name.values())))
        threshold(axes, 0 if problem == "adding" else 1 / SYMBOLS, "chance")
        axes.set_xlabel("delay (steps)")
        axes.set_title(label, fontsize=10)
    return figure


def beyond(result):
    """Accuracy at the distances beyond those trained on, known nouns."""
    return float(np.mean([a for n, a in zip(ASKED, result["right"]["nouns, known"], strict=True) if n in FAR]))


def horizon_text(own):
    """Smallest and largest over seeds, in words."""
    found = [result["horizons"]["carry of the last word"]["0.01"] or np.inf for result in own]
    ends = [f"{at:.0f}" if np.isfinite(at) else f"over {own[0]['lags']}" for at in (min(found), max(found))]
    return " to ".join(dict.fromkeys(ends))


def rank_correlation(x, y) -> float:
    """Spearman's: the correlation of ranks, those that tie sharing theirs."""
    ranks = [[np.mean(np.less(v, a)) + np.mean(np.less_equal(v, a)) for a in v] for v in (x, y)]
    return float(np.corrcoef(ranks)[0, 1])


def correlation_text(results):
    """How accuracy goes with the gradient horizon over all networks, by two of its definitions."""
    networks = [result for own in results.values() for result in own]
    if len(networks) < 3:
        return "too few networks to compare with their horizons"
    right = [beyond(result) for result in networks]
    found = {over: rank_correlation([r["horizons"][over]["0.01"] or np.inf for r in networks], right) for over in SHOWN}
    return (
        f"over the {len(networks)} networks the rank correlation of accuracy at {FAR[0]} to {FAR[-1]} words with the "
        f"horizon is {', '.join(f'{value:.2f} by {over}' for over, value in found.items())}"
    )


def problem_text(solved, delays):
    """Mean scores of the cells at the two longest delays."""
    parts = []
    for problem, by_cell in solved.items():
        means = {d: [np.mean(by_delay[str(d)]["score"]) for by_delay in by_cell.values()] for d in delays[-2:]}
        scores = [f"{'/'.join(f'{mean:.2f}' for mean in row)} at {d}" for d, row in means.items()]
        parts.append(f"{problem} {' and '.join(scores)}")
    cells = "/".join(next(iter(solved.values())))
    return f"trained anew for delays of so many steps, {cells} score {'; '.join(parts)}"


def answer(results, solved, delays):
    """The finding in one sentence, from the numbers."""
    near = [n for n in ASKED if n not in FAR]
    parts, new = [], []
    for name, own in results.items():
        within = np.mean([r["right"]["nouns, known"][: len(near)] for r in own])
        new.append(np.mean([r["right"]["nouns, new"] for r in own]))
        far = np.mean([beyond(r) for r in own])
        parts.append(f"{name} {within:.0%} and {far:.0%} right (gradient horizon {horizon_text(own)} words)")
    return (
        f"The noun of {len(KNOWN + NEW)} (chance {CHANCE:.0%}), at {near[0]} to {near[-1]} and {FAR[0]} to {FAR[-1]} "
        f"words, none of them trained on: {'; '.join(parts)}, where horizons are those of 1 % by the whole carry, for "
        f"the last word; {correlation_text(results)}; of nouns never seen in a story, at most {max(new):.0%} are right "
        f"by any cell; {problem_text(solved, delays)}."
    )


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


def pictures(results, solved, delays) -> list[Picture]:
    """All figures."""
    stories = (
        "Share of last words right against distance: mean and range over seeds. None of the distances asked for was "
        "trained on; those trained on are grey."
    )
    horizons = (
        f"A point a network; a triangle: beyond the lags measured. {ASKED[-1]} words are between the mentions here: a "
        "horizon just above means that the gradient reaches the first mention and nothing before it."
    )
    problems = "Adding, copy and echo: networks trained anew for each delay, mean and range over seeds."
    return [
        Picture("accuracy", draw_stories(results), stories),
        Picture("horizon", draw_horizons(results), horizons),
        Picture("problems", draw_problems(solved, delays), problems),
    ]
