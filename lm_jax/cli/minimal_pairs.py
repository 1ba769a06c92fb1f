"""`lm-jax minimal-pairs RUN FILE.jsonl`: how often the good sentence is more probable than the bad one."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class MinimalPairsArguments:
    """Accuracy on minimal pairs, with a 95 % interval; a tie counts as half."""

    run: str = positional("Folder of the run.", "RUN")
    file: str = positional("JSON lines with sentence_good and sentence_bad.", "FILE")
    group: str | None = setting(None, "Field of the lines to report by, such as linguistics_term.")
    cell: str | None = setting(None, "Cell of a run that was trained with one of your own.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object.")


def main(argv: list[str]) -> None:
    """Parses the arguments, judges the pairs and prints the accuracies."""
    arguments = parse(MinimalPairsArguments, "minimal-pairs", argv)

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import minimal_pairs

    keep_compiled()
    result = minimal_pairs(arguments.run, arguments.file, arguments.group, arguments.cell)
    if arguments.json:
        print(to_json({"unk_rate": result.unk_rate, "groups": result.groups}))
        return
    width = max(map(len, result.groups))
    print(f"{'group':<{width}} {'pairs':>7} {'accuracy':>9} {'95 % interval':>15}")
    for name, group in result.groups.items():
        interval = f"{group.low:.3f}-{group.high:.3f}"
        print(f"{name:<{width}} {group.pairs:>7,} {group.accuracy:>9.3f} {interval:>15}")
    print(f"unknown tokens: {result.unk_rate:.2%}")
