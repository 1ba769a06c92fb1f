"""`lm-jax ngram import FILE.arpa`: a run of an ARPA file, for all verbs that take a run."""

import dataclasses
from typing import Annotated

from tyro.conf import Positional, arg

from lm_jax.cli.parsing import parse


@dataclasses.dataclass(frozen=True)
class ImportArguments:
    """Make a run of an ARPA file, such as KenLM or SRILM write them (.gz: compressed)."""

    file: Annotated[Positional[str], arg(metavar="FILE")]
    """The ARPA file."""
    run: str | None = None
    """Folder of the run. Default: the next free one below checkpoints/."""


def main(argv: list[str]) -> None:
    """Parses, reads, writes."""
    arguments = parse(ImportArguments, "ngram import", argv)

    from lm_jax.queries import import_arpa

    folder, params = import_arpa(arguments.file, arguments.run)
    sizes = ", ".join(f"{size:,}" for size in params.sizes)
    print(f"n-grams of order 1 to {params.order}: {sizes}; run {folder}")
    print(f"next: lm-jax evaluate {folder} --data FILE --split all")
