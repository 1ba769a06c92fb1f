"""`lm-jax states RUN FILE --out states.npz`: the hidden states and gates along a text, for other programs."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class StatesArguments:
    """Write the states and gates of a recurrent model after every token of a text."""

    run: str = positional("Folder of the run.", "RUN")
    file: str = positional("Text file; - for standard input.", "FILE")
    out: str | None = setting(
        None, "File to write: .npz has the arrays of numpy, .parquet a row for each token.", metavar="FILE"
    )
    gates: bool = setting(True, "Whether the gates are written too.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, reads the text and writes the states."""
    arguments = parse(StatesArguments, "states", argv)
    if arguments.out is None:
        raise UserError("states are written to a file, out, such as states.npz, got none", ["out"])
    from lm_jax.cli.score import read_file
    from lm_jax.data.text_files import as_text
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import TrainedLanguageModel
    from lm_jax.queries.load import load_as
    from lm_jax.queries.states import check_states_file, states, write_states

    check_states_file(arguments.out)
    raw, source = read_file(arguments.file)
    keep_compiled()
    run = load_as(TrainedLanguageModel, arguments.run, arguments.cell)
    found = states(run, as_text(raw, run.vocabulary.level, source), gates=arguments.gates)
    path = write_states(found, arguments.out)
    arrays = ", ".join(f"{name} [{values.shape[0]:,}, {values.shape[1]:,}]" for name, values in found.values.items())
    print(f"{path}: ids, tokens, {arrays}")
