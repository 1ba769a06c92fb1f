"""`lm-jax complete RUN "the students opened their"`: the most likely next words."""

import dataclasses
import sys
from collections.abc import Iterator

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.cli.token_name import token_name
from lm_jax.cli.unknown_words import report_unknown
from lm_jax.config.settings import setting
from lm_jax.errors import UserError, check_sizes
from lm_jax.report.table import Table
from lm_jax.report.visible_text import one_line
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class CompleteArguments(TableArguments):
    """The k most likely next words after a prompt, with their probabilities, whatever the tokens of the model are."""

    run: str = positional("Folder of the run.", "RUN")
    prompt: str | None = positional("Text to complete.", "PROMPT", optional=True)
    k: int = setting(
        10,
        "Number of words. With tokens smaller than words they are searched for, the most probable beginnings first, "
        "each up to the next white space or punctuation.",
    )
    interactive: bool = setting(
        False, "Whether prompts are read from standard input, a line each, until an empty line or its end."
    )
    special: bool = setting(False, "Whether the end of a line, <unk> and the like are offered too.")
    tokens: bool = setting(False, "Whether single tokens are offered, such as characters, instead of words.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, predicts the next words and prints the likeliest."""
    arguments = parse(CompleteArguments, "complete", argv)
    arguments.check_form()
    check_sizes(k=arguments.k)
    if arguments.interactive == (arguments.prompt is not None):
        got = "both" if arguments.interactive else "neither"
        raise UserError(f"the text before the words is given as PROMPT, or line by line to --interactive, got {got}")

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import TrainedLanguageModel
    from lm_jax.queries.load import load_as

    keep_compiled()
    run = load_as(TrainedLanguageModel, arguments.run, arguments.cell)
    if not arguments.interactive:
        _answer(arguments, run, arguments.prompt)
        return
    for prompt in _typed():
        try:
            _answer(arguments, run, prompt)
        except UserError as error:  # of this prompt; the next may do
            print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.stdout.flush()


def _typed() -> Iterator[str]:
    """Yields the lines of standard input up to an empty one; a person sees a mark where to type."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            return
        yield line.rstrip("\r\n")


def _answer(arguments, run, prompt):
    report_unknown(run.vocabulary, prompt)
    rows, notes = (_tokens if arguments.tokens else _words)(arguments, run, prompt)
    if arguments.json:
        print(to_json({"prompt": prompt, "completions": rows}))
        return
    what = "token" if arguments.tokens else "word"
    lines = tuple((f"{row.probability:.4f}", token_name(row[0])) for row in rows)
    print_answer(arguments, Table(("probability", what), lines, words=0, ends_in_words=True), rows, after=notes)


def _tokens(arguments, run, prompt):
    from lm_jax.queries.complete import special_ids

    hidden = set() if arguments.special else {run.vocabulary.tokens[i] for i in special_ids(run.vocabulary)}
    rows = run.next_tokens(prompt, arguments.k + len(hidden))
    return [row for row in rows if row.token not in hidden][: arguments.k], []


def _words(arguments, run, prompt):
    found = run.complete(prompt, arguments.k, special=arguments.special)
    sure = "" if found.exact else "; the search was stopped, so that a more probable word may be missing"
    number = f"{len(found.words)} word{'s' if len(found.words) != 1 else ''}"
    return found.words, [f"{number}: {found.covered:.1%} of the probability{sure}"]
