"""The runs that lie in a folder, as far as their files tell: nothing is loaded."""

import datetime
from pathlib import Path
from typing import NamedTuple

from lm_jax.config import read_record
from lm_jax.errors import UserError
from lm_jax.report.rows import Rows
from lm_jax.runs.folder import DEFAULT_PARENT, SEEDS, RunFolder, read_lines, read_results
from lm_jax.runs.links import check_links
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks import TASKS, task_of


@shortly_shown
class RunSummary(NamedTuple):
    """A run folder at a glance.

    run: the folder. task: words of the command line that train it. model: its name, or why the folder cannot be read.
    data: where they came from. metric, value: the measure of its best validation, None before the first. loss: of that
    validation, in nats. step: the last that is known, None where a model was estimated. bytes: of the folder.
    date: of the last change, in ISO form. state: "finished", "stopped early", "stopped", "unfinished" (it goes on, or
    was killed) or "unreadable".
    """

    run: str
    task: str | None
    model: str
    data: str | None
    metric: str | None
    value: float | None
    loss: float | None
    step: int | None
    bytes: int
    date: str
    state: str


def list_runs(folder: str | Path = DEFAULT_PARENT) -> list[RunSummary]:
    """Lists the runs right below a folder, and those of several seeds one level deeper, by name.

    Raises:
        UserError: For a folder that is not there.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f"runs lie in an existing folder, got {folder}")
    runs: list[RunSummary] = Rows()
    for child in sorted(path.iterdir()):
        places = sorted(child.iterdir()) if (child / SEEDS).is_file() else [child]
        runs += [_summary(place) for place in places if (place / "config.json").is_file()]
    return runs


def _summary(path: Path) -> RunSummary:
    files = [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    newest = max(file.stat().st_mtime for file in files)
    date = datetime.datetime.fromtimestamp(newest).isoformat(" ", "minutes")
    try:
        check_links(path)
        config, record = read_record(path / "config.json", {name: task.config for name, task in TASKS.items()})
        task = task_of(config)
        model, data = task.name(config), record["corpus"]["source"]
        results = read_results(path)
        best = _best_estimate(results) if task.batches is None else _best_validation(RunFolder(path))
        if not isinstance(data, str) or not all(isinstance(value, int | float | None) for value in best[1:]):
            raise ValueError("its record has numbers or words of other types")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        return RunSummary(str(path), None, str(error), None, None, None, None, None, size, date, "unreadable")
    step = results.get("step", best[3])
    return RunSummary(str(path), task.command, model, data, *best[:3], step, size, date, _state(results))


def _state(results):
    if not results:
        return "unfinished"
    if results.get("stopped"):
        return "stopped"
    return "stopped early" if results.get("finished_early") else "finished"


def _best_validation(folder):
    """The measure, its value, the loss and the last step of a log: the first measure beside the loss, if any."""
    records = read_lines(folder.metrics)
    step = records[-1]["step"] if records else None
    marked = (r for mark in ("best", "closing") for r in reversed(records) if r.get(mark))
    best = next(marked, None)  # a run that ended before its first validation has the closing one alone
    if best is None:
        return None, None, None, step
    names = [name for name in best if name.startswith("valid_") and name != "valid_loss"]
    name = names[0] if names else "valid_loss"
    return name.removeprefix("valid_").replace("_", " "), best[name], best["valid_loss"], step


def _best_estimate(results):
    rows = [row for row in results.get("rows", ()) if row.get("split") == "valid"]
    if not rows:
        return None, None, None, None
    row = rows[-1]
    name = "perplexity" if row.get("perplexity") is not None else "cross_entropy"
    return name.replace("_", " "), row.get(name), row.get("cross_entropy"), None
