"""`lm-jax convert RUN FILE --to torch`, `lm-jax convert FILE RUN --from torch`: weights from and to other programs."""

import dataclasses
from typing import Literal

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class ConvertArguments:
    """Write the model of a run for torch's word_language_model, Flax linen or as ARPA file, or make a run of such."""

    source: str = positional("Folder of the run, or with --from the file.", "SOURCE")
    target: str = positional("File to write (safetensors; ARPA), or with --from the folder of the new run.", "TARGET")
    to: str | None = setting(None, "Program to write for: torch, linen or arpa.", metavar="PROGRAM")
    from_: str | None = setting(None, "Program that the file is of: torch, linen or arpa.", metavar="PROGRAM")
    vocabulary: str | None = setting(
        None,
        "Words, one a line in the order of their ids: read with --from, written with --to; JSON if it ends in .json.",
        metavar="FILE",
    )
    nonlinearity: Literal["tanh", "relu"] = setting(
        "tanh", "Activation function of a simple recurrent network that is read; no weights tell it."
    )
    cell: str | None = setting(None, "Cell of a run that was trained with one of your own.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, converts and says what was written."""
    arguments = parse(ConvertArguments, "convert", argv)
    if (arguments.to is None) == (arguments.from_ is None):
        got = "neither" if arguments.to is None else f"--to {arguments.to} and --from {arguments.from_}"
        raise UserError(f"a conversion goes one way: --to PROGRAM, or --from PROGRAM; got {got}")

    from lm_jax.cli.run_folders import check_run
    from lm_jax.queries.convert import convert_file, convert_run

    if arguments.to is not None:
        check_run(arguments.source)
        done = convert_run(arguments.source, arguments.target, arguments.to, arguments.vocabulary, arguments.cell)
        print(f"{done.path}: {done.words}")
        return
    source, target, program = arguments.source, arguments.target, str(arguments.from_)
    done = convert_file(source, target, program, arguments.vocabulary, arguments.nonlinearity)
    print(f"{done.words}; run {done.path}")
    print(f"next: lm-jax evaluate {done.path} --data FILE --split all")
