"""`lm-jax ngram prune RUN --threshold 1e-8`: a smaller model, and what that costs."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class PruneArguments:
    """Leave out the n-grams whose absence changes the model's perplexity by less than a threshold (Stolcke 1998)."""

    source: str = positional("Folder of the run.", "RUN")
    threshold: float = setting(1e-8, "Largest relative change of perplexity that leaving an n-gram out may make.")
    run: str | None = setting(None, "Folder of the pruned run, if not checkpoints/NAME-N.", metavar="FOLDER")
    data: str | None = setting(None, "Text file or folder to measure on, if not the run's own.", metavar="FILE")
    json: bool = setting(False, "Whether the output is one JSON object.")


def main(argv: list[str]) -> None:
    """Parses the arguments, prunes the run and prints the sizes."""
    arguments = parse(PruneArguments, "ngram prune", argv)

    from lm_jax.queries import prune_run

    folder, before, after = prune_run(arguments.source, arguments.threshold, arguments.run, arguments.data)
    if arguments.json:
        print(to_json({"run": str(folder), "before": _measured(before), "after": _measured(after)}))
        return
    print(f"{'':<22} {'before':>14} {'after':>14}")
    for order, (old, new) in enumerate(zip(before.ngrams, after.ngrams, strict=True), 1):
        print(f"{f'n-grams of order {order}':<22} {old:>14,} {new:>14,}")
    print(f"{'MiB':<22} {before.bytes / 2**20:>14,.2f} {after.bytes / 2**20:>14,.2f}")
    for split in ("valid", "test"):
        if split in _measured(before):
            print(f"{f'perplexity, {split}':<22} {getattr(before, split):>14,.3f} {getattr(after, split):>14,.3f}")
    print(f"run {folder}")


def _measured(report):
    """Returns the numbers that there are: without a text, no perplexities."""
    return {name: value for name, value in report._asdict().items() if value is not None}
