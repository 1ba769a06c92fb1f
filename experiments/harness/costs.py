"""What the training of a run has cost beside its wall time: processor seconds, and the machine; told and judged.

The seconds are those of the process that trains, all of its threads, from the start of the training to its end. A run
keeps them in its folder, added up over the sessions of a run that was stopped; a session that was killed is not known,
and neither are then those of the run.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness.machine import in_words
from experiments.harness.means import RANGE, with_range
from lm_jax.report.verdict import Verdict


FILE = "study_cost.json"
PROCESSOR = "processor seconds"  # the field of a result, and the column
COLUMNS = {
    "seconds": "of training, on a machine that did other work too (s); of several seeds the median" + RANGE,
    PROCESSOR: "of the process that trained, all cores together, without the other work of the machine (s); of several "
    "seeds the median" + RANGE,
}


@contextlib.contextmanager
def counted(folder: Path) -> Iterator[None]:
    """Adds what training costs while the context lasts to what the folder of the run knows."""
    path, before = folder / FILE, cost_of(folder)
    is_known = bool(before) or not (folder / "config.json").exists()
    path.unlink(missing_ok=True)  # a session that is killed leaves no number behind
    started = time.process_time()
    try:
        yield
    finally:
        if is_known and folder.is_dir():
            seconds = before.get(PROCESSOR, 0.0) + time.process_time() - started
            machines = dict.fromkeys([*filter(None, [before.get("machine")]), in_words()])
            path.write_text(json.dumps({PROCESSOR: seconds, "machine": "; then ".join(machines)}) + "\n")


def cost_of(folder: Path) -> dict[str, Any]:
    """The fields "processor seconds" and "machine" of the result of a run; none where they are not known."""
    path = folder / FILE
    return json.loads(path.read_text()) if path.exists() else {}


def known_cost(result: Mapping[str, Any]) -> dict[str, Any]:
    """The column of processor seconds of a row, where the result has the field."""
    return {PROCESSOR: result[PROCESSOR]} if PROCESSOR in result else {}


def cost_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Callable[[Sequence[Any]], str]]:
    """How a table of means writes seconds, and processor seconds where a row has them."""
    names = ("seconds", PROCESSOR) if any(PROCESSOR in row for row in rows) else ("seconds",)
    return dict.fromkeys(names, lambda values: with_range([value for value in values if value is not None]))


def within(minutes: float, results: Iterable[Mapping[str, Any]]) -> Verdict:
    """Whether the fastest of some trainings has taken no more than so many minutes of wall time.

    Args:
        minutes: the bound.
        results: of runs, with "seconds" and, where they are known, "processor seconds" and "machine".
    """
    expected = f"training takes no more than {minutes:g} minutes (of wall time, the fastest run)"
    timed = [result for result in results if result.get("seconds") is not None]
    if not timed:
        return Verdict(expected, "-", None)
    fastest = min(timed, key=lambda result: result["seconds"])
    taken = fastest["seconds"] / 60
    found = f"{taken:.1f} minutes"
    if PROCESSOR in fastest:
        found += f" ({fastest[PROCESSOR] / 60:.1f} of processor time)"
    if taken > minutes:
        found += f", missed by {taken - minutes:.1f} minutes"
    machine = fastest.get("machine")
    return Verdict(expected, found + (f", on {machine}" if machine else ", machine not recorded"), taken <= minutes)
