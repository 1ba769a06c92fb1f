"""`lm-jax ngram train`: an n-gram model from the counts of a text."""

import dataclasses
import sys
import time

from lm_jax.cli.parsing import parse
from lm_jax.config import NGramConfig


@dataclasses.dataclass(frozen=True)
class NGramArguments:
    """Estimate an n-gram model; without any setting, 5-grams of characters with modified Kneser-Ney smoothing."""

    config: NGramConfig = dataclasses.field(default_factory=NGramConfig)
    run: str | None = None
    """Folder of the run. Default: the next free one below checkpoints/."""


def main(argv: list[str]) -> None:
    """Parses, estimates, prints."""
    arguments = parse(NGramArguments, "ngram train", argv)
    arguments.config.check()

    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.report.console import clock, closing_table, indent, next_command
    from lm_jax.runs import train_ngram

    keep_compiled()
    started = time.perf_counter()

    def say(what):
        print(f"{time.perf_counter() - started:6.1f} s  {what} ...", file=sys.stderr, flush=True)

    run = train_ngram(arguments.config, arguments.run, say)
    results = run.results

    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for note in results["notes"]:
        console.print(f"note: {note}", markup=False)
    console.print(closing_table(results["rows"]))
    sizes = ", ".join(f"{size:,}" for size in results["ngrams"])
    console.print(
        f"n-grams of order 1 to {len(results['ngrams'])}: {sizes}; {results['bytes'] / 2**20:.1f} MiB; "
        f"estimated in {clock(results['seconds'])}; run {run.folder}",
        markup=False,
    )
    console.print(f"\na sample:\n{indent(results['sample'])}\n", markup=False)
    console.print(f"next: {next_command(str(run.folder), results['sample'])}", markup=False)
