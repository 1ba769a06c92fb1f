"""`lm-jax classify train | evaluate | predict`: texts and their labels."""

import dataclasses
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from lm_jax.cli.evaluate import evaluate_run
from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import make_console, say
from lm_jax.cli.train import TrainArguments, train_task
from lm_jax.config import ClassifyConfig, setting
from lm_jax.errors import UserError
from lm_jax.strict_json import to_json


ROWS = 64  # lines of a file that are read at once


@dataclasses.dataclass(frozen=True)
class ClassifyTrainArguments(TrainArguments):
    """Train a classifier of texts. Without any setting: of passages of the Python library, by their package."""


@dataclasses.dataclass(frozen=True)
class ClassifyEvaluateArguments:
    """Score labelled texts with the best step of a run."""

    run: str = positional("Folder of the run.", "RUN")
    data: str | None = setting(None, "Labelled texts as for training, if not the run's own.", metavar="FILE")
    split: Literal["train", "valid", "test", "all"] = setting("test", "Part of the texts.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object.")


@dataclasses.dataclass(frozen=True)
class ClassifyPredictArguments:
    """Predict the label of every line of a file, or of standard input."""

    run: str = positional("Folder of the run.", "RUN")
    file: str | None = positional("Texts, one a line, if not from standard input.", "FILE", optional=True)
    explain: bool = setting(False, "Whether words are coloured by their contribution to the label, with the numbers.")
    pictures: str | None = setting(None, "Folder for a picture of each explanation (with --explain).", metavar="FOLDER")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object a line.")


def train(argv: list[str]) -> None:
    """Parses the arguments, trains and prints the progress."""
    train_task(ClassifyConfig, "classify train", argv, ClassifyTrainArguments)


def evaluate(argv: list[str]) -> None:
    """Parses the arguments, evaluates the run and prints the scores."""
    evaluate_run(parse(ClassifyEvaluateArguments, "classify evaluate", argv), "classifier")


def predict(argv: list[str]) -> None:
    """Parses the arguments and prints a label and its probability for every line, as soon as they are there."""
    arguments = parse(ClassifyPredictArguments, "classify predict", argv)
    if arguments.pictures is not None and not arguments.explain:
        raise UserError(
            f"pictures are of explanations, got {arguments.pictures} without explain", ["pictures", "explain"]
        )
    lines = read_lines(arguments.file)

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries.load import load_as
    from lm_jax.queries.trained_classifier import TrainedClassifier

    keep_compiled()
    run = load_as(TrainedClassifier, arguments.run, arguments.cell)
    if arguments.explain:
        _print_explanations(run, lines, arguments)
        return
    for batch in in_batches(lines):
        for prediction in run.classify(batch):
            words = f"{prediction.label}\t{prediction.probability:.4f}\t{prediction.text}"
            say(to_json(prediction) if arguments.json else words)


def _print_explanations(run, lines, arguments):
    from lm_jax.report.word_weights import coloured_words, draw_words

    console = make_console()
    for number, line in enumerate(lines, 1):
        explanation = run.explain(line)
        if arguments.json:
            print(to_json(explanation), flush=True)
        else:
            console.print(coloured_words(explanation), crop=False)
        if arguments.pictures is not None:
            folder = Path(arguments.pictures).expanduser()
            folder.mkdir(parents=True, exist_ok=True)
            draw_words(explanation, folder / f"text-{number}.png")


def read_lines(file: str | None) -> Iterator[str]:
    """Yields the lines of a file, or of standard input, that hold a word.

    Raises UserError for a file that cannot be read, before the first line.
    """
    if file is None:
        return (line.strip() for line in sys.stdin if line.strip())
    from lm_jax.data.text_files import read_text

    return (line.strip() for line in str(read_text(Path(file), "char")).split("\n") if line.strip())


def in_batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yields lines in lists: one by one where a person types them."""
    size = 1 if sys.stdin.isatty() else ROWS
    lines = iter(lines)
    while batch := list(itertools.islice(lines, size)):
        yield batch
