"""`lm-jax evaluate RUN`: one line, or JSON, about a text under the best step of a run."""

import dataclasses
from typing import Any, Literal

from lm_jax.cli.flags import positional
from lm_jax.cli.folder_words import report_folder
from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting
from lm_jax.errors import check_sizes
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class EvaluateArguments:
    """Score a text: perplexity and bits per character over all of its tokens."""

    run: str = positional("Folder of the run.", "RUN")
    data: str | None = setting(
        None, "Text file, - for standard input, or folder, if not the run's own.", metavar="FILE"
    )
    split: Literal["train", "valid", "test", "all"] = setting(
        "test", "Part of the text: a file is split 90/5/5 as for training; all takes everything."
    )
    eval_streams: int | None = setting(None, "Parallel streams that the text is cut into, if not the run's setting.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object.")


def main(argv: list[str]) -> None:
    """Parses the arguments, evaluates the run and prints the scores."""
    arguments = parse(EvaluateArguments, "evaluate", argv)
    if arguments.eval_streams is not None:
        check_sizes(eval_streams=arguments.eval_streams)
    evaluate_run(arguments)
    report_folder(arguments.data, arguments.split)


def evaluate_run(arguments: Any, wanted: str | None = None) -> None:
    """Evaluates the run of a verb's arguments and prints the scores.

    Args:
        arguments: run, data, split, cell, json; eval_streams where the verb has it.
        wanted: the type of model that the verb is about; None: any.
    """
    from lm_jax.cli.console import print_progress
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import evaluate
    from lm_jax.queries.loaded_run import as_loaded

    keep_compiled()
    result = evaluate(
        as_loaded(arguments.run, arguments.cell, wanted),
        arguments.data,
        arguments.split,
        eval_streams=getattr(arguments, "eval_streams", None),
        progress=print_progress,
    )
    print(to_json(result) if arguments.json else result.words)
