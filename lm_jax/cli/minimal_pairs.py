"""`lm-jax minimal-pairs RUN FILE.jsonl`: how often the good sentence is more probable than the bad one."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.config.settings import setting
from lm_jax.report.table import Table
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class MinimalPairsArguments(TableArguments):
    """Accuracy on minimal pairs, with a 95 % interval; a tie counts as half."""

    run: str = positional("Folder of the run.", "RUN")
    file: str = positional("JSON lines with sentence_good and sentence_bad.", "FILE")
    group: str | None = setting(None, "Field of the lines to report by, such as linguistics_term.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, judges the pairs and prints the accuracies."""
    arguments = parse(MinimalPairsArguments, "minimal-pairs", argv)
    arguments.check_form()

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import minimal_pairs

    keep_compiled()
    result = minimal_pairs(arguments.run, arguments.file, arguments.group, arguments.cell)
    if arguments.json:
        print(to_json({"unk_rate": result.unk_rate, "groups": result.groups}))
        return
    lines = tuple(
        (name, f"{group.pairs:,}", f"{group.accuracy:.3f}", f"{group.low:.3f}-{group.high:.3f}")
        for name, group in result.groups.items()
    )
    records = [{"group": name, **group._asdict()} for name, group in result.groups.items()]
    unknown = f"unknown tokens: {result.unk_rate:.2%}"
    print_answer(arguments, Table(("group", "pairs", "accuracy", "95 % interval"), lines), records, after=[unknown])
