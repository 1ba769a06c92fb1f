"""`lm-jax complete RUN "the students opened their"`: the most likely next tokens."""

import dataclasses
from typing import Annotated

from tyro.conf import Positional, arg

from lm_jax.cli.parsing import parse
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
    from lm_jax.inference import next_tokens
    from lm_jax.runs import load

    keep_compiled()
    model, params, vocabulary = load(arguments.run)
    prompt = vocabulary.encode(arguments.prompt)
    ids, probs = next_tokens(model, params, prompt, arguments.k, eol_id=vocabulary.eol_id)
    rows = [{"token": vocabulary.tokens[i], "probability": float(p)} for i, p in zip(ids, probs, strict=True)]
    if arguments.json:
        print(to_json({"prompt": arguments.prompt, "completions": rows}))
        return
    for row in rows:
        name = row["token"]
        print(f"{row['probability']:>9.4f}  {name if name.isprintable() and name != ' ' else repr(name)}")
