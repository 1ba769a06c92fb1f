"""What the errors of agreement.py say, and their picture."""

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from experiments.harness import Findings, Verdict
from experiments.harness.figures import finish, headline, panels
from experiments.harness.means import INTERVAL, RANGE, means, share_with_interval, with_range
from experiments.harness.rows import groups
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, draw_band, threshold


MOST_PHRASES = 4
HORIZONS = (0.1, 0.01)
LEAVES = {"h": "h", "carry": "all"}
MODELS = {"5-gram": "n-gram", "window 4": "window", "rnn": "rnn", "gru": "gru", "lstm": "lstm"}  # with their families
SEEN = 4  # words back that the models of the last words see
FAILS, FOLLOWS = 0.3, 0.75  # shares of errors: of a model that has lost the subject; of one that goes by the last noun
PANELS = {
    "by_attractors": "nouns of the other number in between",
    "by_distance_last_noun_agrees": "words from subject to verb,\nlast noun of the subject's number",
    "by_distance_last_noun_is_attractor": "words from subject to verb,\nlast noun of the other number",
}
COLUMNS = {
    "model": "kind of language model",
    "seed": "of the draw of weights and batches",
    "n": "networks",
    **{
        f"errors, {count} attractors": "share of verbs of the wrong number with so many nouns of the other number in "
        "between" + (INTERVAL if count == 0 else "")
        for count in range(MOST_PHRASES + 1)
    },
    "last noun followed": "share of verbs of the wrong number where the last noun has the other number",
    **{
        f"horizon {share}, {leaf}": f"words back at which less than {share:.0%} of the gradient by "
        f"{'h' if leaf == 'h' else 'the whole carry'} is left" + RANGE
        for leaf in LEAVES
        for share in HORIZONS
    },
    "largest lag": "words back that were measured",
}


def draw(results, title: str):
    """A panel a question, a line a model: the mean over seeds, with their range."""
    figure, grid = panels((11.0, 4.1), 1, len(PANELS), sharey=True)
    for axes, (table, label) in zip(grid, PANELS.items(), strict=True):
        for name, found in groups(results, "model").items():
            own = [result["summary"][table] for result in found]
            x = [key for key in own[0] if all(key in one for one in own)]
            values = [[one[key][0] for key in x] for one in own]
            draw_band(axes, [int(key) for key in x], values, COLOURS[MODELS[name]], "o-", name)
        threshold(axes, 0.5, "chance" if axes is grid[0] else "", x=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        finish(axes, xlabel=label, ylim=(-0.02, 1.02))
    grid[0].set_ylabel("share of verbs of the wrong number")
    grid[0].legend(frameon=False, fontsize=8)
    headline(figure, title)
    return figure


def to_rows(results) -> list[dict[str, Any]]:
    """A line a model and seed: errors by attractors, and horizons; empty where there is none within the sentences."""
    rows = []
    for result in results:
        rates, found = result["summary"]["by_attractors"], result["gradient_horizons"]
        row = {"model": result["model"], "seed": result["seed"]}
        row |= {f"errors, {count} attractors": rate for count, (rate, _) in rates.items()}
        row["last noun followed"] = result["summary"]["last_noun_followed"]
        row |= {f"horizon {s}, {leaf}": found and found[leaf][str(s)] for leaf in LEAVES for s in HORIZONS}
        rows.append({**row, "largest lag": found and found["largest_lag"]})
    return rows


def findings(results: dict[str, Any]) -> Findings:
    """What the errors say."""
    models = results["models"]
    rows, most = to_rows(models), f"errors, {MOST_PHRASES} attractors"
    errors = {name: [row[most] for row in own] for name, own in groups(rows, "model").items()}
    said = [f"the {name} in {np.mean(errors[key]):.0%}" for key, name in NAMES.items() if key in errors]
    windows = [f"horizon {share}, {leaf}" for leaf in LEAVES for share in HORIZONS]
    of = {f"errors, {k} attractors": share_with_interval for k in range(MOST_PHRASES + 1)}
    of |= {name: lambda v: "-" if len(set(v)) == 1 and v[0] is None else with_range(v) for name in windows}
    best = min(errors, key=lambda name: np.mean(errors[name]))
    named = NAMES.get(best, best)
    title = f"Past four other nouns the {named} still agrees with its subject, models of the last words do not"
    caption = (
        f"Verbs of the wrong number among {results['questions']:,} questions: mean and range over seeds. Lines that "
        "lie on zero are those of recurrent networks."
    )
    return Findings(
        title=title,
        answer=f"With four nouns of the other number in between, verbs are wrong: by {', '.join(said)}.",
        verdicts=verdicts(models, errors),
        means=means(rows, ("model",), of),
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("agreement", draw(models, title), caption)],
        seeds=sorted({model["seed"] for model in models}),
    )


NAMES = {"window 4": "window", "rnn": "RNN", "lstm": "LSTM"}  # that the answer tells


def verdicts(models, errors) -> list[Verdict]:
    """The parts of the expectation."""
    by_model = groups(models, "model")
    short = {name: own for name, own in by_model.items() if name in ("5-gram", "window 4")}
    recurrent = {name: own for name, own in by_model.items() if name in ("rnn", "gru", "lstm")}
    far = [
        rate
        for own in short.values()
        for one in own
        for distance, (rate, _) in one["summary"]["by_distance_last_noun_agrees"].items()
        if int(distance) > SEEN + 2
    ]
    followed = {name: np.mean([one["summary"]["last_noun_followed"] for one in own]) for name, own in by_model.items()}
    lasts, subjects = ([followed[name] for name in kind] for kind in (short, recurrent))
    worse = [
        np.mean([one["summary"]["by_attractors"][str(MOST_PHRASES)][0] for one in own])
        > np.mean([one["summary"]["by_attractors"]["1"][0] for one in own])
        for own in recurrent.values()
    ]
    gated = [error for name in ("gru", "lstm") for error in errors.get(name, [])]
    return [
        Verdict(
            f"models of the last words fail when the subject is out of sight (over {FAILS:.0%} wrong)",
            f"{min(far):.0%} to {max(far):.0%} wrong",
            min(far) > FAILS,
        ),
        Verdict(
            f"and go by the last noun (over {FOLLOWS:.0%} wrong where it has the other number)",
            f"{min(lasts):.0%} to {max(lasts):.0%} wrong (chance: 50%)",
            min(lasts) > FOLLOWS,
        ),
        Verdict(
            "recurrent networks mostly go by the subject (less than half wrong there)",
            f"{min(subjects):.0%} to {max(subjects):.0%} wrong",
            max(subjects) < 0.5,
        ),
        Verdict(
            "recurrent networks are worse with four attractors than with one",
            f"{sum(worse)} of {len(worse)}",
            all(worse),
        ),
        Verdict(
            "gated ones less so than the simple RNN (every seed)",
            f"{max(gated):.0%} against {min(errors['rnn']):.0%}" if gated and "rnn" in errors else "-",
            max(gated) < min(errors["rnn"]) if gated and "rnn" in errors else None,
        ),
    ]
