"""`lm-jax ngram export RUN FILE.arpa`: the model of an n-gram run for KenLM, SRILM and others."""

import dataclasses
from pathlib import Path

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import say


@dataclasses.dataclass(frozen=True)
class ExportArguments:
    """Write the model of an n-gram run as an ARPA file."""

    run: str = positional("Folder of the run.", "RUN")
    file: str = positional("File to write; compressed if its name ends in .gz.", "FILE")


def main(argv: list[str]) -> None:
    """Parses the arguments, reads the run and writes the ARPA file."""
    arguments = parse(ExportArguments, "ngram export", argv)

    from lm_jax.queries import export_arpa

    export_arpa(arguments.run, arguments.file)
    say(f"{arguments.file}: {Path(arguments.file).expanduser().stat().st_size / 2**20:.1f} MiB")
