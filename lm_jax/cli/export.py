"""`lm-jax export RUN FOLDER --format stablehlo`: a model for programs without this library, or for the Hub."""

import dataclasses
import sys
from typing import Literal

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting


@dataclasses.dataclass(frozen=True)
class ExportRunArguments:
    """Write a run's model to run without lm_jax, as StableHLO or ONNX programs, or for the Hugging Face Hub."""

    run: str = positional("Folder of the run.", "RUN")
    out: str = positional("Folder to make.", "FOLDER")
    format: Literal["stablehlo", "onnx", "hub"] = setting(
        "stablehlo",
        "Programs for jax or for runtimes of ONNX, or weights with a card for the Hub; each an extra.",
    )
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, writes the folder and says what is in it."""
    arguments = parse(ExportRunArguments, "export", argv)

    from lm_jax.cli.screen import say
    from lm_jax.queries import export_run, save_pretrained

    if arguments.format == "hub":
        path = save_pretrained(arguments.run, arguments.out, cell=arguments.cell, say=_report)
    else:
        path = export_run(arguments.run, arguments.out, arguments.format, arguments.cell).path
    for file in sorted(path.iterdir()):
        say(f"{file.stat().st_size:>12,} bytes  {file}")
    last = {
        "stablehlo": f"{path / 'load.py'} loads it, with jax alone",
        "onnx": f"{path / 'step.onnx'} takes the carry and a token, and gives both anew",
        "hub": f"to upload it: hf upload USER/MODEL {path}",
    }
    say(last[arguments.format])


def _report(stage):
    print(f"{stage} ...", file=sys.stderr, flush=True)
