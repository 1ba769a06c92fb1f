"""`lm-jax complete RUN "the students opened their"`: the most likely next tokens."""

import dataclasses
from typing import Annotated

from tyro.conf import Positional, arg

from lm_jax.cli.parsing import parse
from lm_jax.cli.token_name import token_name
from lm_jax.errors import check_sizes
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class CompleteArguments:
    """The k most likely next tokens after a prompt, with their probabilities."""

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """Folder of the run."""
    prompt: Annotated[Positional[str], arg(metavar="PROMPT")]
    """The text before."""
    k: int = 10
    """How many."""
    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> None:
    """Parses, predicts, prints."""
    arguments = parse(CompleteArguments, "complete", argv)
    check_sizes(k=arguments.k)

    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.queries import next_tokens

    keep_compiled()
    rows = next_tokens(arguments.run, arguments.prompt, arguments.k, arguments.cell)
    if arguments.json:
        print(to_json({"prompt": arguments.prompt, "completions": rows}))
        return
    for row in rows:
        print(f"{row.probability:>9.4f}  {token_name(row.token)}")
