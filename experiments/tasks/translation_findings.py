"""What the translators of translation.py say, and their picture."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.harness import Findings, Verdict
from experiments.harness.costs import COLUMNS as COST_COLUMNS
from experiments.harness.costs import cost_columns, known_cost, within
from experiments.harness.figures import draw_lines, finish, headline, panels
from experiments.harness.means import INTERVAL, means, share_with_interval, with_interval
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


ATTENTION, PLAIN, OTHER = "attention", "no attention", "attention, en-de"
PUBLISHED = (
    {"form": "attention, pretrained vectors", "search": "greedy", "bleu": "38.4", "source": "published, Lample et al."},
    {
        "form": "attention, en-de, pretrained vectors",
        "search": "greedy",
        "bleu": "35.2",
        "source": "published, Lample et al.",
    },
    {"form": "attention, tutorials", "search": "greedy", "bleu": "28.3", "source": "published, pytorch-seq2seq"},
)
SOURCES = (
    "this study, or published for the same test pairs, in lower case, by each author's tokens and BLEU: Lample, "
    "Conneau, Denoyer & Ranzato 2018, Unsupervised machine translation using monolingual corpora only, table 2, "
    "supervised (LSTM, vectors of Wikipedia); github.com/bentrevett/pytorch-seq2seq, notebook 3 (GRU)"
)
AIM, AIM_PLAIN, AIM_OTHER, BEAM = 35.5, (17, 23), 33, (0.5, 1.5)  # BLEU
MINUTES = 45  # of training
ROUNDING = 1e-4  # nats per token: what a score may differ by without being another
COLUMNS = {
    "form": "the translator; German to English unless it says otherwise",
    "search": "the most likely word at each step, or a beam",
    "seed": "of the draw of weights and batches",
    "n": "translators",
    "nats per token": "loss on the test pairs (nats per target token)",
    "bleu": "BLEU of sacrebleu, 13a, lower case" + INTERVAL,
    "bleu, cased": "the same with the case of the references; the recipe writes lower case",
    "chrf": "chrF of sacrebleu, lower case",
    "exact": "share of translations equal to the reference",
    "bleu, shortest": "BLEU of the shortest sources (1 to 9 tokens)",
    "bleu, longest": "BLEU of the longest sources (over 20 tokens)",
    "beam": "its width",
    "sentences": "the first of the test sentences",
    "own score": "mean score that the search ranks its best translation by: log P of the model by its length to the "
    "power of the length penalty (nats)" + INTERVAL,
    "fell": "share of the sentences whose score is lower than by the next narrower beam" + INTERVAL,
    "source": SOURCES,
    "parameters": "numbers that are trained",
    **COST_COLUMNS,
}


Forms = dict[str, dict[str, dict]]  # what each run has come to, by the name of its form and by seed


def mean(runs: Sequence[dict], name: str) -> float:
    """The mean of a number over runs or parts of them; NaN where there are none or one of them lacks it."""
    values = [run[name] for run in runs]
    return math.nan if None in values or not values else float(np.mean(values))


def lengths(runs: dict[str, dict]) -> list[list[dict]]:
    """The scores of sources of each length, of all seeds: from the shortest to the longest."""
    return [list(of) for of in zip(*(run["by length"] for run in runs.values()), strict=True)]


def scores_of(runs: dict[str, dict], search: int = -1) -> list[dict]:
    """The scores by one of the searches, of all seeds: by the last, the widest beam."""
    return [list(run["searches"].values())[search] for run in runs.values()]


def draw(forms: Forms, measured: str, title: str):
    """Loss and BLEU (without the extra, exact matches) against the length of the source, means over seeds."""
    figure, axes = panels((9.5, 4.2), 1, 2)
    for panel, name in zip(axes, ("nats", measured), strict=True):
        lines = {}
        for (form, runs), colour in zip(forms.items(), SERIES, strict=False):
            by_length = lengths(runs)
            lines[form] = ([mean(of, "length") for of in by_length], [mean(of, name) for of in by_length], colour)
        ends = draw_lines(panel, lines, "o-")
        label = {"nats": "nats per target token", "bleu": "BLEU", "exact": "share of exact translations"}[name]
        finish(panel, ends, xlabel="tokens of the source", ylabel=label, title=title_of(name, forms))
    headline(figure, title)
    return figure


def title_of(name: str, forms: Forms) -> str:
    """What the longest sources cost: how much more or less of a measure they have than the shortest."""
    changes = [lost(runs, name) for runs in forms.values()]
    digits, unit = {"nats": ("+.2f", " nats"), "bleu": ("+.0f", " BLEU"), "exact": ("+.0%", "")}[name]
    ends = dict.fromkeys(f"{end(changes, key=abs):{digits}}" for end in (min, max))
    return f"Longest against shortest: {' to '.join(ends)}{unit}"


def lost(runs: dict[str, dict], name: str) -> float:
    """A measure of the longest sources less that of the shortest, mean over seeds."""
    of = lengths(runs)
    return mean(of[-1], name) - mean(of[0], name)


def to_rows(forms: Forms) -> list[dict[str, Any]]:
    """A line for each form, search and seed; the BLEU by length is that of the widest beam."""
    rows = []
    for result in (run for runs in forms.values() for run in runs.values()):
        last = list(result["searches"])[-1]
        for search, scores in result["searches"].items():
            row = {"form": result["form"], "search": search, "seed": result["seed"], "nats per token": result["nats"]}
            row |= {"bleu": scores["bleu"], "bleu, cased": result["cased"]["bleu"] if search == last else None}
            row |= {name: scores[name] for name in ("chrf", "exact")}
            for name, of in (("shortest", result["by length"][0]), ("longest", result["by length"][-1])):
                row[f"bleu, {name}"] = of["bleu"] if search == last else None
            row |= {"parameters": result["parameters"], "seconds": result["seconds"]}
            rows.append(row | known_cost(result))
    return rows


def to_means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The means over seeds, and below them what was published, in the same columns."""
    of = dict.fromkeys(("nats per token", "bleu", "bleu, cased", "chrf"), with_interval)
    of |= {"exact": share_with_interval} | dict.fromkeys(("bleu, shortest", "bleu, longest"), with_interval)
    of |= cost_columns(rows)
    ours = [row | {"source": "this study"} for row in means(rows, ("form", "search"), of)]
    return [*ours, *({name: row.get(name) for name in ours[0]} for row in PUBLISHED)]


def width_rows(forms: Forms) -> list[dict[str, Any]]:
    """A line for each form and width of the beam, of the runs that have been measured so: the model's own score."""
    found = [
        {
            "form": form,
            "beam": of["beam"],
            "sentences": run["widths"]["sentences"],
            "own score": of["score"],
            "fell": of["fell"],
        }
        for form, runs in forms.items()
        for run in runs.values()
        if "widths" in run
        for of in run["widths"]["beams"]
    ]
    return means(found, ("form", "beam", "sentences"), {"own score": with_interval, "fell": share_with_interval})


def of_widths(forms: Forms) -> Verdict:
    """Whether the mean score never falls from a beam to the next wider one, in any run; told by form."""
    expected = "wider beams find at least what narrower ones found, in the mean of the model's own score"
    parts, holds = [], True
    for form, runs in forms.items():
        found = [run["widths"]["beams"] for run in runs.values() if "widths" in run]
        if not found:
            continue
        scores = [mean(of, "score") for of in zip(*found, strict=True)]
        said = ", ".join(f"{score:.4f}" for score in scores)
        fell = max(one["fell"] for of in found for one in of[1:])
        beams = ", ".join(str(one["beam"]) for one in found[0])
        parts.append(f"{form}: {said} for beams of {beams}, lower than by the narrower for at most {fell:.1%}")
        pairs = [pair for of in found for pair in itertools.pairwise(of)]
        holds = holds and all(wide["score"] >= narrow["score"] - ROUNDING for narrow, wide in pairs)
    return Verdict(expected, "; ".join(parts) or "-", holds if parts else None)


def columns_of(forms: Forms) -> dict[str, str]:
    """What the columns are; those of BLEU with the signatures of sacrebleu, where it was at hand."""
    runs = [run for of in forms.values() for run in of.values()]
    scores = {"bleu": [list(run["searches"].values())[-1] for run in runs], "bleu, cased": [r["cased"] for r in runs]}
    return COLUMNS | {name: COLUMNS[name] + signed(found) for name, found in scores.items()}


def signed(scores: Sequence[dict[str, Any]]) -> str:
    """The signatures of scores in words, each once; empty without."""
    signatures = dict.fromkeys(one["signature"] for one in scores if one.get("signature"))
    return f"; signature {', and '.join(signatures)}" if signatures else ""


def findings(results: dict[str, Any]) -> Findings:
    """What the forms that have been run say."""
    forms = results["forms"]
    form = ATTENTION if ATTENTION in forms else next(iter(forms))
    known = scores_of(forms[form])[0]["bleu"] is not None
    measure, show, unit = ("bleu", "{:.1f}", "BLEU") if known else ("exact", "{:.1%}", "of exact translations")
    best = show.format(mean(scores_of(forms[form]), measure))
    short, long = (show.format(mean(of, measure)) for of in (lengths(forms[form])[0], lengths(forms[form])[-1]))
    title = f"{'With attention' if form == ATTENTION else form.capitalize()}: {best} {unit}, but {long} for the longest"
    answer = (
        f"With {form} and a beam the translator reaches {best} {unit}: {short} for the shortest sources, {long} for "
    )
    answer += "the longest."
    if {ATTENTION, PLAIN} <= forms.keys():
        plain = show.format(mean(scores_of(forms[PLAIN]), measure))
        title = f"{best} {unit} with attention, {plain} without it"
        answer = (
            f"From German to English a translator with attention reaches {best} {unit}, the same without it {plain}."
        )
    caption = "Loss and quality of the test translations against the length of the source."
    rows = to_rows(forms)
    return Findings(
        title=title,
        answer=answer,
        verdicts=verdicts(forms),
        means=[*to_means(rows), *width_rows(forms)],
        rows=rows,
        columns=columns_of(forms),
        pictures=[Picture("translation", draw(forms, measure, title), caption)],
        seeds=sorted({run["seed"] for runs in forms.values() for run in runs.values()}),
    )


def verdicts(forms: Forms) -> list[Verdict]:
    """The parts of the expectation, of the forms that have been run with BLEU: means over seeds."""

    def bleu(form, search=-1):
        return mean(scores_of(forms.get(form, {}), search), "bleu")

    def part(expected, value, holds, form="{:.1f} BLEU"):
        known = not math.isnan(value)
        return Verdict(expected, form.format(value) if known else "-", holds(value) if known else None)

    beam = bleu(ATTENTION)
    gained = beam - bleu(ATTENTION, 0)
    less = -lost(forms[PLAIN], "bleu") if PLAIN in forms else math.nan
    return [
        part(f"{AIM} BLEU with attention and a beam of 5", beam, lambda x: x >= AIM),
        part("one more than by the most likely word (0.5 to 1.5)", gained, lambda x: BEAM[0] <= x <= BEAM[1]),
        part("20 BLEU without attention (17 to 23)", bleu(PLAIN), lambda x: AIM_PLAIN[0] <= x <= AIM_PLAIN[1]),
        part("and less the longer the source", less, lambda x: x > 0, "{:.1f} BLEU less"),
        part(f"from English to German {AIM_OTHER} BLEU", bleu(OTHER), lambda x: x >= AIM_OTHER),
        within(MINUTES, [run for form in (ATTENTION, OTHER) for run in forms.get(form, {}).values()]),
        of_widths(forms),
    ]
