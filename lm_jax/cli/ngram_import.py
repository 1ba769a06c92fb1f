"""`lm-jax ngram import FILE.arpa`: a run of an ARPA file, for all verbs that take a run."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import say
from lm_jax.config.settings import setting
from lm_jax.report.commands import shell_path


@dataclasses.dataclass(frozen=True)
class ImportArguments:
    """Make a run of an ARPA file, such as KenLM or SRILM write them (.gz: compressed)."""

    file: str = positional("ARPA file.", "FILE")
    run: str | None = setting(None, "Folder of the run, if not checkpoints/NAME-N.", metavar="FOLDER")


def main(argv: list[str]) -> None:
    """Parses the arguments, reads the ARPA file and writes the run."""
    arguments = parse(ImportArguments, "ngram import", argv)

    from lm_jax.queries import import_arpa

    folder, params = import_arpa(arguments.file, arguments.run)
    sizes = ", ".join(f"{size:,}" for size in params.sizes)
    say(f"n-grams of order 1 to {params.order}: {sizes}; run {folder}")
    say(f"next: lm-jax evaluate {shell_path(folder)} --data FILE --split all")
