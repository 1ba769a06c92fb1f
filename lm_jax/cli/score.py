"""`lm-jax score RUN FILE`: the log-probability of every line, or of every token, of a text."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from lm_jax.cli.parsing import parse
from lm_jax.cli.token_name import token_name
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class ScoreArguments:
    """Log-probabilities in nats, a line of output for every line of a text, its end-of-line token included."""

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """Folder of the run."""
    file: Annotated[Positional[str], arg(metavar="FILE")]
    """A text file, or - for standard input."""
    alone: bool = False
    """Score each line by itself. Default: in the context of all the lines before it."""
    per_token: bool = False
    """A line of output for every token instead."""
    json: bool = False
    """Print one JSON object a line."""


def main(argv: list[str]) -> None:
    """Parses, scores, prints."""
    arguments = parse(ScoreArguments, "score", argv)

    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.data.sources import as_text, read_text
    from lm_jax.queries import load, score, score_tokens
    from lm_jax.report.console import print_progress

    keep_compiled()
    run = load(arguments.run, arguments.cell)
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
