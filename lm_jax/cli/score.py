"""`lm-jax score RUN FILE`: the log-probability of every line, or of every token, of a text."""

import dataclasses
import sys
from pathlib import Path

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.token_name import token_name
from lm_jax.config.settings import setting
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class ScoreArguments:
    """Log-probabilities in nats, a line of output for every line of a text, its end-of-line token included."""

    run: str = positional("Folder of the run.", "RUN")
    file: str = positional("Text file, or - for standard input.", "FILE")
    alone: bool = setting(
        False, "Whether each line is scored by itself, not in the context of all the lines before it."
    )
    per_token: bool = setting(False, "Whether there is a line of output for every token.")
    cell: str | None = setting(None, "Cell of a run that was trained with one of your own.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object a line.")


def main(argv: list[str]) -> None:
    """Parses the arguments, scores the text and prints the scores."""
    arguments = parse(ScoreArguments, "score", argv)

    from lm_jax.cli.console import print_progress
    from lm_jax.data.sources import as_text, read_text
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import TrainedLanguageModel, score, score_tokens
    from lm_jax.queries.load import load_as

    keep_compiled()
    run = load_as(TrainedLanguageModel, arguments.run, arguments.cell)
    level = run.vocabulary.level
    if arguments.file == "-":
        text = as_text(sys.stdin.buffer.read(), level, "standard input")
    else:
        text = read_text(Path(arguments.file), level)
    question = score_tokens if arguments.per_token else score
    records = question(run, text, alone=arguments.alone, progress=print_progress)
    if arguments.json:
        for record in records:
            print(to_json(record))
    elif arguments.per_token:
        _print_tokens(records)
    else:
        _print_lines(records)


def _print_lines(lines):
    print(f"{'log-prob':>10} {'tokens':>6} {'unk':>4}  line")
    for line in lines:
        print(f"{line.log_prob:>10.3f} {line.tokens:>6} {line.unknown:>4}  {line.text}")


def _print_tokens(tokens):
    print(f"{'log-prob':>10}  token")
    for token in tokens:
        print(f"{token.log_prob:>10.3f}  {token_name(token.token)}")
