"""`lm-jax runs`: what lies under checkpoints/."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.config.settings import setting
from lm_jax.report.numbers import short
from lm_jax.report.table import Table
from lm_jax.strict_json import to_json


DROP = ("MiB", "text", "date", "model")  # of a narrow terminal, the first to go first


@dataclasses.dataclass(frozen=True)
class RunsArguments(TableArguments):
    """List the runs of a folder: model, text, best validation, size, date, and whether they are finished."""

    folder: str | None = positional("Folder that the runs lie in, if not checkpoints/.", "FOLDER", optional=True)
    sort: Literal["name", "date", "best", "size"] = setting(
        "name", "Order of the runs: by name, the newest first, by validation loss, or the largest first."
    )


def main(argv: list[str]) -> None:
    """Parses the arguments, looks at the folders and prints the table."""
    arguments = parse(RunsArguments, "runs", argv)
    arguments.check_form()

    from lm_jax.queries.list_runs import list_runs

    runs = in_order(list_runs(arguments.folder or "checkpoints"), arguments.sort)
    if arguments.json:
        print(to_json(runs))
        return
    none = [] if runs else ["there are no runs; to make one: lm-jax train"]
    print_answer(arguments, runs_table(runs), runs, after=none)


def in_order(runs: list[Any], sort: str) -> list[Any]:
    """Sorts summaries of runs; those without a validation come last."""
    keys = {
        "name": lambda run: run.run,
        "best": lambda run: (run.loss is None, run.loss or 0.0),
        "size": lambda run: -run.bytes,
    }
    if sort == "date":
        return sorted(runs, key=lambda run: run.date, reverse=True)
    return sorted(runs, key=keys[sort])


def runs_table(runs: list[Any]) -> Table:
    """Writes summaries of runs as a table."""
    rows = tuple(
        (
            run.run,
            run.model,
            Path(run.data).name if run.data else "-",
            run.metric or "-",
            "-" if run.value is None else short(run.value),
            f"{run.bytes / 2**20:,.1f}",
            run.date,
            run.state if run.step is None else f"{run.state}, step {run.step:,}",
        )
        for run in runs
    )
    return Table(("run", "model", "text", "measure", "best", "MiB", "date", "state"), rows, 4, (), DROP, True)
