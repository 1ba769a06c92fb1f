"""`lm-jax export RUN FOLDER --format stablehlo`: a model as programs that run without this library."""

import dataclasses
from typing import Literal

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting


@dataclasses.dataclass(frozen=True)
class ExportRunArguments:
    """Write a run's model as programs with its weights and tokens, to run without lm_jax: StableHLO or ONNX."""

    run: str = positional("Folder of the run.", "RUN")
    out: str = positional("Folder to make.", "FOLDER")
    format: Literal["stablehlo", "onnx"] = setting(
        "stablehlo", "Format of the programs: for jax, or for runtimes of ONNX (extra onnx)."
    )
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, writes the folder and says what is in it."""
    arguments = parse(ExportRunArguments, "export", argv)

    from lm_jax.cli.screen import say
    from lm_jax.queries.export import export_run

    done = export_run(arguments.run, arguments.out, arguments.format, arguments.cell)
    for name, size in done.bytes.items():
        say(f"{size:>12,} bytes  {done.path / name}")
    if arguments.format == "stablehlo":
        say(f"{done.path / 'load.py'} loads it, with jax alone")
