"""`lm-jax minimal-pairs RUN FILE.jsonl`: how often the good sentence is more probable than the bad one."""

import dataclasses
from typing import Annotated

from tyro.conf import Positional, arg

from lm_jax.cli.parsing import parse
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class MinimalPairsArguments:
    """Accuracy on minimal pairs, with a 95 % interval; a tie counts as half."""

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """Folder of the run."""
    file: Annotated[Positional[str], arg(metavar="FILE")]
    """JSON lines with sentence_good and sentence_bad."""
    group: str | None = None
    """A field of the lines to report by, such as linguistics_term."""
    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> None:
    """Parses, judges, prints."""
    arguments = parse(MinimalPairsArguments, "minimal-pairs", argv)

    from lm_jax.cli.compilation import keep_compiled
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
