"""`lm-jax classify train | evaluate | predict`: texts and their labels."""

import dataclasses
from typing import Literal

from lm_jax.cli.evaluate import evaluate_run
from lm_jax.cli.flags import positional
from lm_jax.cli.lines import answered, read_batches
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import make_console, say
from lm_jax.cli.train import TrainArguments, train_task
from lm_jax.config import ClassifyConfig, setting
from lm_jax.errors import UserError
from lm_jax.strict_json import to_json


# of an empty line
NO_PREDICTION = {"text": "", "label": None, "probability": None, "probabilities": {}}
NO_EXPLANATION = {"label": None, "probability": None, "words": [], "gradient": [], "occlusion": [], "reach": []}


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
    file: str | None = positional("Texts, one a line; - or nothing for standard input.", "FILE", optional=True)
    explain: bool = setting(False, "Whether words are coloured by their contribution to the label, with the numbers.")
    pictures: str | None = setting(
        None, "Folder for a picture of each line's explanation (with --explain).", metavar="FOLDER"
    )
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
    from lm_jax.report.out_folder import check_folder

    folder = None if arguments.pictures is None else check_folder(arguments.pictures, "pictures")
    batches = read_batches(arguments.file)

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries.classify import encode_text
    from lm_jax.queries.load import load_as
    from lm_jax.queries.trained_classifier import TrainedClassifier

    keep_compiled()
    run = load_as(TrainedClassifier, arguments.run, arguments.cell)
    for batch in batches:
        for line, answer in answered(
            batch,
            lambda text: encode_text(run, text),
            lambda texts: map(run.explain, texts) if arguments.explain else run.classify(texts),
        ):
            if answer is None:
                _print_nothing(arguments)
            elif arguments.explain:
                _print_explanation(answer, line.number, folder, arguments)
            else:
                words = f"{answer.label}\t{answer.probability:.4f}\t{line.text}"
                say(to_json(answer) if arguments.json else words)


def _print_nothing(arguments):
    """Prints what stands for an empty line, so that lines stand beside those of the file; an explanation for a person
    has no line of its own."""
    if arguments.json:
        say(to_json(NO_EXPLANATION if arguments.explain else NO_PREDICTION))
    elif not arguments.explain:
        say("")


def _print_explanation(explanation, number, folder, arguments):
    from lm_jax.report.word_weights import coloured_words, draw_words

    if arguments.json:
        print(to_json(explanation), flush=True)
    else:
        make_console().print(coloured_words(explanation), crop=False)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        draw_words(explanation, folder / f"line-{number}.png")
