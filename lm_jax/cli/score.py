"""`lm-jax score RUN FILE`: the log-probability of every line, or of every token, of a text."""

import dataclasses
from pathlib import Path

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.cli.token_name import token_name
from lm_jax.config.settings import setting
from lm_jax.report.table import Table
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class ScoreArguments(TableArguments):
    """Log-probability in nats of every line of a text, end-of-line token included."""

    run: str = positional("Folder of the run.", "RUN")
    file: str | None = positional(
        "Text file; - or nothing for standard input, of at most 1,024 MiB.", "FILE", optional=True
    )
    alone: bool = setting(
        False, "Whether each line is scored by itself, not in the context of all the lines before it."
    )
    per_token: bool = setting(False, "Whether every token has a line of output.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, scores the text and prints the scores."""
    arguments = parse(ScoreArguments, "score", argv)
    arguments.check_form()
    raw, source = read_file(arguments.file)

    from lm_jax.cli.console import print_progress
    from lm_jax.data.text_files import as_text
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import TrainedLanguageModel, score, score_tokens
    from lm_jax.queries.load import load_as

    keep_compiled()
    run = load_as(TrainedLanguageModel, arguments.run, arguments.cell)
    text = as_text(raw, run.vocabulary.level, source)
    question = score_tokens if arguments.per_token else score
    records = question(run, text, alone=arguments.alone, progress=print_progress)
    if arguments.json:
        for record in records:
            print(to_json(record))
        return
    table = _token_table(records) if arguments.per_token else _line_table(records)
    print_answer(arguments, table, records)


def read_file(file: str | None) -> tuple[bytes, str]:
    """Returns the bytes of a file or of standard input, and what they are called."""
    from lm_jax.data.standard_input import STANDARD_INPUT, read_standard_input
    from lm_jax.data.text_files import read_bytes

    if file in (None, STANDARD_INPUT):
        return read_standard_input(), "standard input"
    return read_bytes(Path(file)), file


def _line_table(lines):
    rows = tuple((f"{line.log_prob:.3f}", f"{line.tokens}", f"{line.unknown}", line.text) for line in lines)
    return Table(("log-prob", "tokens", "unk", "line"), rows, words=0, drop=("unk", "tokens"), ends_in_words=True)


def _token_table(tokens):
    rows = tuple((f"{token.log_prob:.3f}", token_name(token.token)) for token in tokens)
    return Table(("log-prob", "token"), rows, words=0, ends_in_words=True)
