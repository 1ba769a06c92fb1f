"""What the translators of translation.py say, and their picture."""

from typing import Any

from experiments.harness import Findings, Verdict
from experiments.harness.figures import draw_lines, finish, headline, panels
from experiments.harness.rows import filled
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


ATTENTION, PLAIN, OTHER = "attention", "no attention", "attention, en-de"
AIM, AIM_PLAIN, AIM_OTHER, BEAM = 35.5, (17, 23), 33, (0.5, 1.5)  # BLEU
COLUMNS = {
    "form": "the translator; German to English unless it says otherwise",
    "search": "the most likely word at each step, or a beam",
    "nats per token": "loss on the test pairs (nats per target token)",
    "bleu": "BLEU of sacrebleu, 13a, lower case; one seed",
    "chrf": "chrF of sacrebleu, lower case",
    "exact": "share of translations equal to the reference",
    "bleu, shortest": "BLEU of the shortest sources (1 to 9 tokens)",
    "bleu, longest": "BLEU of the longest sources (over 20 tokens)",
    "parameters": "numbers that are trained",
    "seconds": "of training, on a machine that did other work too (s)",
}


def draw(results: dict[str, dict], title: str):
    """Loss and BLEU (without the extra, exact matches) against the length of the source."""
    figure, axes = panels((9.5, 4.2), 1, 2)
    first = next(iter(results.values()))["by length"][0]
    measured = "exact" if first["bleu"] is None else "bleu"
    for panel, name in zip(axes, ("nats", measured), strict=True):
        lines = {
            form: (*zip(*((row["length"], row[name]) for row in result["by length"]), strict=True), colour)
            for (form, result), colour in zip(results.items(), SERIES, strict=False)
        }
        ends = draw_lines(panel, lines, "o-")
        label = {"nats": "nats per target token", "bleu": "BLEU", "exact": "share of exact translations"}[name]
        finish(panel, ends, xlabel="tokens of the source", ylabel=label, title=title_of(name, results))
    headline(figure, title)
    return figure


def title_of(name: str, results: dict[str, dict]) -> str:
    """What the longest sources cost: how much more or less of a measure they have than the shortest."""
    changes = [result["by length"][-1][name] - result["by length"][0][name] for result in results.values()]
    digits, unit = {"nats": ("+.2f", " nats"), "bleu": ("+.0f", " BLEU"), "exact": ("+.0%", "")}[name]
    ends = dict.fromkeys(f"{end(changes, key=abs):{digits}}" for end in (min, max))
    return f"Longest against shortest: {' to '.join(ends)}{unit}"


def to_rows(results: dict[str, dict]) -> list[dict[str, Any]]:
    """A line for each form and search."""
    rows = []
    for result in results.values():
        for search, scores in result["searches"].items():
            row = {"form": result["form"], "search": search, "nats per token": result["nats"]}
            row |= {name: scores[name] for name in ("bleu", "chrf", "exact")}
            rows.append(row | {"parameters": result["parameters"], "seconds": result["seconds"]})
    return rows


def findings(results: dict[str, Any]) -> Findings:
    """What the forms that have been run say."""
    forms = results["forms"]
    form = ATTENTION if ATTENTION in forms else next(iter(forms))
    shortest, longest = forms[form]["by length"][0], forms[form]["by length"][-1]
    scores = list(forms[form]["searches"].values())[-1]
    measure, show = ("exact", "{:.1%}") if scores["bleu"] is None else ("bleu", "{:.1f}")
    unit = "of exact translations" if measure == "exact" else "BLEU"
    best, short, long = (show.format(of[measure]) for of in (scores, shortest, longest))
    title = f"{'With attention' if form == ATTENTION else form.capitalize()}: {best} {unit}, but {long} for the longest"
    answer = (
        f"With {form} and a beam the translator reaches {best} {unit}: {short} for the shortest sources, {long} for "
    )
    answer += "the longest."
    if {ATTENTION, PLAIN} <= forms.keys():
        plain = show.format(list(forms[PLAIN]["searches"].values())[-1][measure])
        title = f"{best} {unit} with attention, {plain} without it"
        answer = (
            f"From German to English a translator with attention reaches {best} {unit}, the same without it {plain}."
        )
    caption = "Loss and quality of the test translations against the length of the source."
    rows = to_rows(forms)
    ends = {
        name: {"bleu, shortest": one["by length"][0]["bleu"], "bleu, longest": one["by length"][-1]["bleu"]}
        for name, one in forms.items()
    }
    last = {name: list(one["searches"])[-1] for name, one in forms.items()}
    return Findings(
        title=title,
        answer=answer,
        verdicts=verdicts(forms),
        means=filled(row | (ends[row["form"]] if row["search"] == last[row["form"]] else {}) for row in rows),
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("translation", draw(forms, title), caption)],
        seeds=sorted({result["seed"] for result in forms.values()}),
    )


def verdicts(forms: dict[str, dict]) -> list[Verdict]:
    """The parts of the expectation, of the forms that have been run with BLEU."""

    def bleu(form, search=-1):
        return list(forms[form]["searches"].values())[search]["bleu"] if form in forms else None

    def part(expected, value, holds, form="{:.1f} BLEU"):
        return Verdict(expected, "-" if value is None else form.format(value), None if value is None else holds(value))

    greedy, beam = bleu(ATTENTION, 0), bleu(ATTENTION)
    gained = None if greedy is None or beam is None else beam - greedy
    by_length = [one["bleu"] for one in forms.get(PLAIN, {}).get("by length", [])]
    lost = by_length[0] - by_length[-1] if by_length and by_length[0] is not None else None
    return [
        part(f"{AIM} BLEU with attention and a beam of 5", beam, lambda x: x >= AIM),
        part("one more than by the most likely word (0.5 to 1.5)", gained, lambda x: BEAM[0] <= x <= BEAM[1]),
        part("20 BLEU without attention (17 to 23)", bleu(PLAIN), lambda x: AIM_PLAIN[0] <= x <= AIM_PLAIN[1]),
        part("and less the longer the source", lost, lambda x: x > 0, "{:.1f} BLEU less"),
        part(f"from English to German {AIM_OTHER} BLEU", bleu(OTHER), lambda x: x >= AIM_OTHER),
    ]
