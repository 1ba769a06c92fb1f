"""`lm-jax complete RUN "the students opened their"`: the most likely next tokens."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.cli.token_name import token_name
from lm_jax.config.settings import setting
from lm_jax.errors import check_sizes
from lm_jax.report.table import Table
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class CompleteArguments(TableArguments):
    """The k most likely next tokens after a prompt, with their probabilities."""

    run: str = positional("Folder of the run.", "RUN")
    prompt: str = positional("Text to complete.", "PROMPT")
    k: int = setting(10, "Number of tokens.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, predicts the next token and prints the likeliest."""
    arguments = parse(CompleteArguments, "complete", argv)
    arguments.check_form()
    check_sizes(k=arguments.k)

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import next_tokens

    keep_compiled()
    rows = next_tokens(arguments.run, arguments.prompt, arguments.k, arguments.cell)
    if arguments.json:
        print(to_json({"prompt": arguments.prompt, "completions": rows}))
        return
    lines = tuple((f"{row.probability:.4f}", token_name(row.token)) for row in rows)
    print_answer(arguments, Table(("probability", "token"), lines, words=0, ends_in_words=True), rows)
