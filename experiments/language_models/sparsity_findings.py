"""What the counts of sparsity.py say, and their pictures."""

import math

from experiments.harness import Findings, Verdict
from experiments.harness.figures import draw_lines, finish, headline, panels
from experiments.harness.rows import groups, only, where, without
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES, label_ends


ORDERS = (1, 2, 3, 4, 5)
ORDER_COLOURS = dict(zip(ORDERS, (SERIES[k] for k in (6, 0, 2, 1, 3)), strict=True))
FEW, MOST = 0.25, 0.9  # shares unseen at order 2 and at the highest
NEARLY = 0.85  # exponent of the size as a power of the length
LITTLE = 0.05  # a share of the perplexity
COLUMNS = {
    "order": "n: words of an n-gram",
    "tokens": "of the training text",
    "unseen_ngrams": "share of the test n-grams that the training text lacks",
    "unseen_contexts": "share of their contexts (all words but the last) that it lacks",
    "ngrams": "n-grams of all orders up to n in the model",
    "bytes": "of its tables",
    "perplexity": "on the test text, modified Kneser-Ney",
}


def draw(rows, quantity: str, title: str, ylabel: str, scale: str = "linear", ticks=None):
    """A quantity against the length of the training text, a line an order."""
    figure, (axes,) = panels((7.4, 4.2))
    by_order = groups(sorted(rows, key=lambda row: row["tokens"]), "order")
    lines = {f"n = {n}": (*columns(own, "tokens", quantity), ORDER_COLOURS[n]) for n, own in by_order.items()}
    ends = draw_lines(axes, lines)
    tokens = columns(next(iter(by_order.values())), "tokens")[0]
    headline(figure, title)
    finish(axes, xscale="log", yscale=scale, xlabel="tokens of training text", ylabel=ylabel)
    axes.set_xticks(tokens, [f"{n / 1e6:.2g} M" if n >= 1e6 else f"{n / 1e3:.0f} k" for n in tokens])
    axes.minorticks_off()
    if ticks:
        axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    label_ends(axes, ends)
    return figure


def columns(rows, *names):
    """The values of the fields named, each over all rows."""
    return [[row[name] for row in rows] for name in names]


def findings(results: dict) -> Findings:
    """What the counts say."""
    rows = [without(row, "notes") for row in results["rows"]]
    whole = where(rows, tokens=max(row["tokens"] for row in rows))
    last, third = whole[-1], where(whole, order=3)[0]
    gain = 1 - last["perplexity"] / third["perplexity"]
    n = f"n = {len(whole)}"
    unseen = f"{last['unseen_ngrams']:.0%} of the test text's longest n-grams were never seen in training"
    power = growth(rows)
    pictures = [
        Picture(
            "sparsity_unseen",
            draw(rows, "unseen_ngrams", unseen, "share of test n-grams unseen"),
            f"Share of the test text's n-grams that the training text lacks; {n}: after {last['tokens']:,} tokens.",
        ),
        Picture(
            "sparsity_size",
            draw(rows, "ngrams", f"A model grows as its text to the power {power:.2f}", "n-grams in the model", "log"),
            f"N-grams of all orders up to n in the model; the power is that of {n}.",
        ),
        Picture(
            "sparsity_perplexity",
            draw(
                rows,
                "perplexity",
                f"More text lowers perplexity; orders above 3 gain {gain:.0%}",
                "test perplexity",
                "log",
                (200, 400, 800),
            ),
            "Perplexity of modified Kneser-Ney models.",
        ),
    ]
    return Findings(
        title=f"Even after {last['tokens']:,} words, {unseen}",
        answer=f"After {last['tokens']:,} training tokens {last['unseen_ngrams']:.0%} of the longest test n-grams are "
        f"unseen; orders above three lower perplexity by {gain:.0%}.",
        verdicts=verdicts(rows, power),
        means=[only(row, list(COLUMNS)) for row in whole],
        rows=rows,
        columns=COLUMNS,
        pictures=pictures,
    )


def growth(rows) -> float:
    """The power of the text's length as which the number of n-grams of the highest order grows."""
    own = sorted(where(rows, order=max(row["order"] for row in rows)), key=lambda row: row["tokens"])
    return math.log(own[-1]["ngrams"] / own[0]["ngrams"]) / math.log(own[-1]["tokens"] / own[0]["tokens"])


def verdicts(rows, power: float) -> list[Verdict]:
    """The parts of the expectation."""
    short, long = ({r["order"]: r for r in where(rows, tokens=f(r["tokens"] for r in rows))} for f in (min, max))
    times, top = long[1]["tokens"] / short[1]["tokens"], max(long)
    two, most = long[2]["unseen_ngrams"], long[top]["unseen_ngrams"]
    falls = [long[n]["unseen_ngrams"] / short[n]["unseen_ngrams"] for n in long if n > 2]
    gains = [1 - of[top]["perplexity"] / of[3]["perplexity"] for of in (short, long)]
    return [
        Verdict(
            f"unseen n-grams grow quickly with the order (under {FEW:.0%} at 2, over {MOST:.0%} at {top})",
            f"{two:.0%} at 2, {most:.0%} at {top}",
            two < FEW and most > MOST,
        ),
        Verdict(
            f"and fall slowly with more text (less than halved at orders above 2, by {times:.0f} times the text)",
            f"to {min(falls):.0%} at least",
            min(falls) > 0.5,
        ),
        Verdict(f"size grows almost as fast as the text (power over {NEARLY})", f"power {power:.2f}", power > NEARLY),
        Verdict(
            f"beyond order 3 perplexity gains little (under {LITTLE:.0%}) until the text is longer",
            f"{gains[0]:.1%} with the shortest text, {gains[1]:.1%} with the longest",
            gains[0] < LITTLE and gains[1] > gains[0],
        ),
    ]
