"""`lm-jax evaluate RUN`: one line, or JSON, about a text under the best step of a run."""

import dataclasses
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from lm_jax.cli.parsing import parse
from lm_jax.errors import check_sizes
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class EvaluateArguments:
    """Score a text: every token counts, the first and the last included."""

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """Folder of the run."""
    data: str | None = None
    """A text file or folder. Default: the run's own."""
    split: Literal["train", "valid", "test", "all"] = "test"
    """Which part: a file is split 90/5/5 as for training; "all" takes everything."""
    eval_streams: int | None = None
    """Parallel streams the text is cut into. Default: the run's setting."""
    json: bool = False
    """Print one JSON object."""


def main(argv: list[str]) -> None:
    """Parses, scores, prints."""
    arguments = parse(EvaluateArguments, "evaluate", argv)
    if arguments.eval_streams is not None:
        check_sizes(eval_streams=arguments.eval_streams)

    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.queries import evaluate
    from lm_jax.report.console import print_progress

    keep_compiled()
    result = evaluate(
        arguments.run,
        arguments.data,
        arguments.split,
        eval_streams=arguments.eval_streams,
        progress=print_progress,
        cell=arguments.cell,
    )
    if arguments.json:
        print(to_json(result))
        return
    print(
        f"{result.tokens:,} tokens: cross-entropy {result.cross_entropy:.4f} nats per token, "
        f"perplexity {result.perplexity:.3f}, {result.bits_per_character:.4f} bits per character, "
        f"{result.bits_per_byte:.4f} bits per byte, "
        f"unknown {result.unk_rate:.2%}, {result.eval_streams} streams, {result.seconds:.1f} s"
    )
