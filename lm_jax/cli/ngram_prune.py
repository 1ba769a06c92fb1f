"""`lm-jax ngram prune RUN --threshold 1e-8`: a smaller model, and what that costs."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.folder_words import report_folder
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.config.settings import setting
from lm_jax.report.table import Table
from lm_jax.strict_json import to_json


WHEN = ("before", "after")


@dataclasses.dataclass(frozen=True)
class PruneArguments(TableArguments):
    """Prune the n-grams whose removal changes the perplexity by less than a threshold (Stolcke 1998)."""

    source: str = positional("Folder of the run.", "RUN")
    threshold: float = setting(1e-8, "Largest relative change of perplexity from removing one n-gram.")
    run: str | None = setting(None, "Folder of the pruned run, if not checkpoints/NAME-N.", metavar="FOLDER")
    data: str | None = setting(None, "Text file or folder to measure on, if not the run's own.", metavar="FILE")


def main(argv: list[str]) -> None:
    """Parses the arguments, prunes the run and prints the sizes."""
    arguments = parse(PruneArguments, "ngram prune", argv)
    arguments.check_form()

    from lm_jax.queries import prune_run

    folder, before, after = prune_run(arguments.source, arguments.threshold, arguments.run, arguments.data)
    report_folder(arguments.data)
    if arguments.json:
        print(to_json({"run": str(folder), "before": _measured(before), "after": _measured(after)}))
        return
    print_answer(arguments, _table(before, after), _records(before, after), after=[f"run {folder}"])


def _records(before, after):
    """The same numbers before and after, a record each."""
    rows = zip(before.ngrams, after.ngrams, strict=True)
    records = [{"name": f"n-grams of order {order}", "before": a, "after": b} for order, (a, b) in enumerate(rows, 1)]
    records.append({"name": "bytes", "before": before.bytes, "after": after.bytes})
    for split in ("valid", "test"):
        if split in _measured(before):
            name = f"perplexity, {split}"
            records.append({"name": name, "before": getattr(before, split), "after": getattr(after, split)})
    return records


def _table(before, after):
    rows = []
    for record in _records(before, after):
        texts = [f"{record[when]:,}" if isinstance(record[when], int) else f"{record[when]:,.3f}" for when in WHEN]
        rows.append((record["name"], *texts))
    return Table(("", *WHEN), tuple(rows))


def _measured(report):
    """Returns the numbers that there are: without a text, no perplexities."""
    return {name: value for name, value in report._asdict().items() if value is not None}
