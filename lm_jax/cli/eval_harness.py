"""`lm-jax eval-harness RUN --tasks blimp,lambada`: tasks of the lm-evaluation-harness."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.config.settings import setting
from lm_jax.errors import UserError, check_sizes
from lm_jax.report.table import Table
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class EvalHarnessArguments(TableArguments):
    """Run tasks of EleutherAI's lm-evaluation-harness, which downloads their data, with a run's model."""

    run: str = positional("Folder of the run.", "RUN")
    tasks: str = setting("", "Names of tasks, with commas between them.", metavar="NAMES")
    limit: int | None = setting(None, "Number of examples of each task, if not all.")
    include: str | None = setting(None, "Folder of task files of your own.", metavar="FOLDER")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, runs the tasks and prints their metrics."""
    arguments = parse(EvalHarnessArguments, "eval-harness", argv)
    arguments.check_form()
    tasks = [name.strip() for name in arguments.tasks.split(",") if name.strip()]
    if not tasks:
        raise UserError("tasks must name a task, such as blimp, got none", ["tasks"])
    if arguments.limit is not None:
        check_sizes(limit=arguments.limit)

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries.eval_harness import evaluate_tasks

    keep_compiled()
    results = evaluate_tasks(
        arguments.run, tasks, limit=arguments.limit, include=arguments.include, cell=arguments.cell
    )
    if arguments.json:
        print(to_json(results))
        return
    records = metric_rows(results)
    rows = tuple((row["task"], row["metric"], f"{row['value']:.4f}") for row in records)
    print_answer(arguments, Table(("task", "metric", "value"), rows, words=2), records)


def metric_rows(results: dict) -> list[dict]:
    """Returns a record for each metric of each task; the harness names them METRIC,FILTER."""
    rows = []
    for task, metrics in results.items():
        for name, value in metrics.items():
            metric, _, rest = name.partition(",")
            if not isinstance(value, int | float) or metric.endswith("_stderr") or not rest:
                continue
            rows.append({"task": task, "metric": metric, "value": float(value)})
    return rows
