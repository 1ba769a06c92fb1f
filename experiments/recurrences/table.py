"""The one table of the studies of recurrences: a row an architecture, a column a question, the answer in a sentence.

    python -m experiments.recurrences.table     prints it as Markdown, out of the records in experiments/results

What no record has is told as "not run". The index of the studies has the same table (experiments/make_index.py).
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness.rows import Record, groups, where
from experiments.harness.study import RESULTS
from experiments.recurrences import language_findings, memory_findings, recall_findings, state_tracking_findings
from experiments.recurrences.architectures import NETWORKS, TITLES, TWELVE
from lm_jax.report.study import read_record


FOLDER = RESULTS / "recurrences"
NOT_RUN = "not run"
PAIRS = recall_findings.PAIRS[-1]
TASKS = tuple(state_tracking_findings.CHANCE)
COLUMNS = {
    **{task: "strings longer than those of the training, right answers" for task in TASKS},
    "recall": f"one of {PAIRS} pairs, right values, best size",
    "bits": "per character, equal parameters",
    "horizon": "characters back to 1 % of the gradient, after training",
    "exponent": "largest Lyapunov, nats a character, after training",
    "trained": "tokens a second",
    "generated": "tokens a second",
    "carry": "kB of one text",
}
BRIEF = ("", *TASKS, "recall", "bits", "horizon", "trained", "generated")
Values = dict[str, Mapping[str, float]]  # by column and network


def values(folder: Path = FOLDER) -> Values:
    """What the records in a folder say, by column; a study without a record gives no column."""
    found: Values = {}
    for name, read in READERS.items():
        if (folder / name / f"{name}.json").is_file():
            found |= read(read_record(folder / name, name).results)
    return found


def _of_state_tracking(results: dict[str, Any]) -> Values:
    rows = state_tracking_findings.to_rows(results["measured"])
    return {
        task: {name: statistics.median_low(own) for name, own in state_tracking_findings.shares(rows, task).items()}
        for task in TASKS
    }


def _of_recall(results: dict[str, Any]) -> Values:
    rows = recall_findings.to_rows(results["measured"])
    return {"recall": {name: recall_findings.best(rows, (name,)) or 0.0 for name in groups(rows, "network")}}


def _of_language(results: dict[str, Any]) -> Values:
    rows = language_findings.to_rows(results["measured"])
    own = where(rows, text=language_findings.best_text(results["measured"]))
    return {name: language_findings.by_network(own, name) for name in ("bits", "trained", "generated", "carry")}


def _of_memory(results: dict[str, Any]) -> Values:
    stage, largest = memory_findings.STAGES[-1], results["max_lag"]
    lags = memory_findings.reach(results["measured"], stage, "horizon_1", largest)
    return {
        "horizon": {name: lag if lag <= largest else math.inf for name, lag in lags.items()},
        "exponent": memory_findings.exponents(results["measured"], stage),
    }


READERS: dict[str, Callable[[dict[str, Any]], Values]] = {
    "state_tracking": _of_state_tracking,
    "recall": _of_recall,
    "language": _of_language,
    "memory": _of_memory,
}


def rows(found: Values) -> list[Record]:
    """A row for each of the twelve, and for any other network that a record has; all cells are texts."""
    seen = {name for column in found.values() for name in column}
    names = [name for name in NETWORKS if name in TWELVE or name in seen]
    return [
        {"": TITLES[name]}
        | {column: cell(column, found.get(column, {}).get(name)) for column in COLUMNS}
        | {"in a sentence": sentence(name, {c: v[name] for c, v in found.items() if name in v})}
        for name in names
    ]


def cell(column: str, value: float | None) -> str:
    """A value as the table has it."""
    if value is None:
        return NOT_RUN
    if column in (*TASKS, "recall"):
        return f"{100 * value:.0f} %"
    if math.isinf(value):
        return "beyond all" if column == "horizon" else "-inf"
    shown = {"bits": f"{value:.2f}", "exponent": f"{value:.2g}", "carry": f"{value / 1000:,.1f}"}
    return shown.get(column, f"{value:,.0f}")


def sentence(name: str, known: Mapping[str, float]) -> str:
    """What the numbers of an architecture say, and whether its answer to parity is the published one."""
    parts = []
    solved = [task for task in TASKS if known.get(task, 0) >= state_tracking_findings.SOLVED]
    if "parity" in known:
        follows = f"follows {' and '.join(solved)}" if solved else "follows no state beyond the lengths it learnt from"
        expected = name in state_tracking_findings.SIGNED, name in state_tracking_findings.POSITIVE
        agrees = ("parity" in solved) == expected[0]
        parts.append(follows + (f" (parity {'as' if agrees else 'unlike'} published)" if any(expected) else ""))
    if "recall" in known:
        able = known["recall"] >= recall_findings.RECALLED
        parts.append(f"recalls {PAIRS} pairs" if able else f"does not recall {PAIRS} pairs")
    if "horizon" in known:
        lag = known["horizon"]
        far = f"within {lag:.0f} characters" if math.isfinite(lag) else "at no distance measured"
        parts.append(f"loses 99 % of the gradient {far}")
    if "bits" in known:
        parts.append(f"reads at {known['bits']:.2f} bits")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else f"{NOT_RUN.capitalize()}."


def markdown(table: list[Record]) -> str:
    """The table as Markdown, with what the columns are below it."""
    notes = "; ".join(f"{name}: {text}" for name, text in COLUMNS.items())
    return f"{grid(table, list(table[0]))}\n\n{notes}.\n"


def grid(table: list[Record], columns: Sequence[str]) -> str:
    """Some columns of the table as Markdown; those of README.md are BRIEF."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(row[column] for column in columns)} |" for row in table]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(rows(values())), end="")
