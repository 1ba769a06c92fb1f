"""What the perplexities of perplexity_ladder.py say, and their picture."""

import math
from typing import Any

from experiments.harness import Findings, Verdict
from experiments.harness.means import with_ends
from experiments.harness.rows import only
from lm_jax.report.comparison_figure import figure
from lm_jax.report.comparison_row import ComparisonRow
from lm_jax.report.study import Picture


COLUMNS = {
    "name": "order and estimator of an n-gram model, cell of a network, or the parts of a mixture",
    "family": "kind of model",
    "tokens": "of the test text that are predicted",
    "perplexity": "on the test text; in brackets a 95 % interval, blocks of text being resampled",
    "perplexity_low": "lower end of the interval",
    "perplexity_high": "upper end of the interval",
    "bits_per_character": "cross-entropy in bits per character of the text",
    "parameters": "numbers that are trained",
    "ngrams": "n-grams that are stored",
    "bytes": "of parameters or tables",
    "training_seconds": "of training, on a machine that did other work too (s)",
}
LITTLE = 0.05  # a share of the perplexity
ALL = "5-gram + cache + LSTM"


def findings(results: dict[str, Any]) -> Findings:
    """What the perplexities say."""
    rows = [ComparisonRow(**row) for row in results["rows"]]
    by = "perplexity" if rows[0].perplexity is not None else "bits_per_character"
    known = {row.name: getattr(row, by) for row in rows}
    best = min(known, key=lambda name: math.inf if known[name] is None else known[name])
    title = f"Each part knows something else: {best} is best"
    drawn = figure(rows, title)
    short = [
        only(row._asdict(), ("name", "family"))
        | {by: with_ends(*row.interval(by))}
        | only(row._asdict(), ("parameters", "ngrams", "bytes", "training_seconds"))
        for row in rows
    ]
    return Findings(
        title=title,
        answer=f"Test {by.replace('_', ' ')} falls from {known['1-gram']:.3g} for unigrams to {known['5-gram']:.3g} "
        f"for the longest n-grams, and to {known[best]:.3g} for the best mixture.",
        verdicts=verdicts(known),
        means=short,
        rows=[only(row._asdict(), [name for name in COLUMNS]) for row in rows],
        columns=COLUMNS,
        pictures=[Picture("perplexity_ladder", drawn, "A dot with its 95 % interval for each model; same tokens.")],
    )


def verdicts(known: dict[str, float]) -> list[Verdict]:
    """The parts of the expectation, as far as their models are there."""
    threes = {name: value for name, value in known.items() if name.startswith("3-gram")}
    others = [value for name, value in threes.items() if name != "3-gram-add-1"]
    networks = {name: known[name] for name in ("window-4", "rnn", "gru", "lstm") if name in known}
    add_one, three, longest = (known.get(name) for name in ("3-gram-add-1", "3-gram", "5-gram"))
    found = min(networks, key=lambda name: networks[name])
    return [
        Verdict(
            "adding one is the worst at order 3 by far (twice the next), worse than a unigram",
            "-" if add_one is None else f"{add_one:.4g} against {max(others):.4g} and {known['1-gram']:.4g}",
            None if add_one is None else add_one > max(2 * max(others), known["1-gram"]),
        ),
        Verdict(
            "modified Kneser-Ney is the best at order 3",
            "-" if three is None else f"{three:.4g} against {min(v for n, v in threes.items() if n != '3-gram'):.4g}",
            None if three is None else three == min(threes.values()),
        ),
        Verdict(
            f"orders above 3 gain little (under {LITTLE:.0%})",
            "-" if three is None else f"{1 - longest / three:.0%}",
            None if three is None else 1 - longest / three < LITTLE,
        ),
        Verdict(
            "networks do not reach the 5-gram model alone",
            f"{found} {networks[found]:.4g}, 5-gram {longest:.4g}, one seed",
            min(networks.values()) > longest,
        ),
        Verdict("5-gram + cache + LSTM is best", f"{known[ALL]:.4g}", known[ALL] == min(known.values())),
    ]
