"""`lm-jax compare RUN RUN ...`: one table of runs on exactly the same text, with intervals and paired tests."""

import dataclasses
from typing import Literal

from lm_jax.cli.flags import positional
from lm_jax.cli.folder_words import report_folder
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.config.settings import setting


@dataclasses.dataclass(frozen=True)
class CompareArguments(TableArguments):
    """Score the same text under every run: perplexities with 95 % intervals, each tested against the row above."""

    runs: tuple[str, ...] = positional("Folders of the runs, a row each; one may be given twice.", "RUN", several=True)
    data: str | None = setting(None, "Text file or folder, if not that of the runs, which must agree.", metavar="FILE")
    split: Literal["train", "valid", "test", "all"] = setting(
        "test", "Part of the text: a file is split 90/5/5 as for training; all takes everything."
    )
    mixture: bool = setting(
        False, "Whether there is a row for the mixture of all runs, with weights fitted on the validation split."
    )
    cache: int | None = setting(
        None, "Tokens that a unigram cache in the mixture remembers, such as 2000. Without it: no cache."
    )
    eval_streams: int | None = setting(
        None, "Parallel streams that the text is cut into, if not the setting of the runs, which must agree."
    )
    samples: int = setting(2000, "Number of resamples of an interval, and of sign flips of a test.")
    seed: int = setting(0, "Seed of the resamples and sign flips.")
    sort: bool = setting(False, "Whether the best comes first, instead of the order given.")
    out: str | None = setting(None, "Folder for ledger.json, ledger.csv and ledger.png.", metavar="FOLDER")
    cell: str | None = setting(None, "Cell of your own that runs were trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, scores the runs and prints the comparison."""
    arguments = parse(CompareArguments, "compare", argv)
    arguments.check_form()

    from lm_jax.cli.console import print_progress
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import compare
    from lm_jax.report.comparison_files import to_json, write_comparison
    from lm_jax.report.comparison_table import notes, table
    from lm_jax.report.out_folder import check_folder

    if arguments.out is not None:
        check_folder(arguments.out)
    keep_compiled()
    rows = compare(
        arguments.runs,
        arguments.data,
        arguments.split,
        mixture=arguments.mixture,
        cache=arguments.cache,
        eval_streams=arguments.eval_streams,
        samples=arguments.samples,
        seed=arguments.seed,
        sort=arguments.sort,
        progress=print_progress,
        cell=arguments.cell,
    )
    report_folder(arguments.data, arguments.split)
    paths = [] if arguments.out is None else write_comparison(rows, arguments.out)
    if arguments.json:
        print(to_json(rows))
        return
    print_answer(arguments, table(rows), rows, after=[*notes(rows), *(f"written: {path}" for path in paths)])
