"""`lm-jax score RUN FILE`: the log-probability of every line, or of every token, of a text."""

import dataclasses
import sys
from pathlib import Path

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class ScoreArguments:
    """Log-probabilities in nats, a line of output for every line of a text, its end-of-line token included."""

    run: str = positional("Folder of the run.", "RUN")
    file: str = positional("A text file, or - for standard input.", "FILE")
    alone: bool = setting(False, "Score each line by itself. Without it, in the context of all the lines before it.")
    per_token: bool = setting(False, "A line of output for every token instead.")
    cell: str | None = setting(None, "The cell of a run that was trained with one of your own.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Print one JSON object a line.")


def main(argv: list[str]) -> None:
    """Parses, scores, prints."""
    arguments = parse(ScoreArguments, "score", argv)

    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.data.sources import as_text, read_text
    from lm_jax.inference.likelihood import token_log_probs
    from lm_jax.report.console import print_progress
    from lm_jax.runs import load

    keep_compiled()
    model, params, vocabulary = load(arguments.run)
    if arguments.file == "-":
        text = as_text(sys.stdin.buffer.read(), vocabulary.level, "standard input")
    else:
        text = read_text(Path(arguments.file), vocabulary.level)
    tokens = vocabulary.encode(text)
    log_probs = token_log_probs(
        model,
        params,
        tokens,
        vocabulary.eol_id,
        eval_streams=32 if arguments.alone else 1,
        mode="sentence" if arguments.alone else "stream",
        progress=print_progress,
    )
    (_print_tokens if arguments.per_token else _print_lines)(arguments, vocabulary, tokens, log_probs)


def _print_lines(arguments, vocabulary, tokens, log_probs):
    import numpy as np

    from lm_jax.inference.likelihood import line_sums

    sums, lengths = line_sums(log_probs, tokens, vocabulary.eol_id)
    lines = np.split(tokens, np.cumsum(lengths)[:-1])
    if not arguments.json:
        print(f"{'log-prob':>10} {'tokens':>6} {'unk':>4}  line")
    for total, line in zip(sums, lines, strict=True):
        unknown = 0 if vocabulary.unk_id is None else int((line == vocabulary.unk_id).sum())
        text = vocabulary.decode(line).removesuffix("\n")
        if arguments.json:
            print(to_json({"log_prob": total, "tokens": len(line), "unknown": unknown, "text": text}))
        else:
            print(f"{total:>10.3f} {len(line):>6} {unknown:>4}  {text}")


def _print_tokens(arguments, vocabulary, tokens, log_probs):
    if not arguments.json:
        print(f"{'log-prob':>10}  token")
    for token, log_prob in zip(tokens, log_probs, strict=True):
        name = vocabulary.tokens[token]
        if arguments.json:
            print(to_json({"log_prob": float(log_prob), "token": name}))
        else:
            print(f"{log_prob:>10.3f}  {name if name.isprintable() and name != ' ' else repr(name)}")
