"""`lm-jax translate train | evaluate | predict`: sentences and their translations."""

import dataclasses
from typing import Any, Literal

from lm_jax.cli.evaluate import evaluate_run
from lm_jax.cli.flags import positional
from lm_jax.cli.lines import answered, read_batches
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import say
from lm_jax.cli.train import TrainArguments, train_task
from lm_jax.config import TranslateConfig, setting
from lm_jax.errors import UserError, check_sizes
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class TranslateTrainArguments(TrainArguments):
    """Train a translator. Without any setting: of dates as people write them, into ISO form."""


@dataclasses.dataclass(frozen=True)
class TranslateEvaluateArguments:
    """Score translations of sentences with the best step of a run."""

    run: str = positional("Folder of the run.", "RUN")
    data: str | None = setting(None, "Parallel text as for training, if not the run's own.", metavar="FILE")
    split: Literal["train", "valid", "test", "all"] = setting("test", "Part of the text.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object.")


@dataclasses.dataclass(frozen=True)
class TranslatePredictArguments:
    """Translate every line of a file, or of standard input."""

    run: str = positional("Folder of the run.", "RUN")
    file: str | None = positional("Sentences, one a line; - or nothing for standard input.", "FILE", optional=True)
    beam_size: int | None = setting(None, "Beam size, if not the run's setting.")
    length_penalty: float | None = setting(
        None, "Exponent of the length that log-probabilities are divided by, if not the run's setting."
    )
    coverage_penalty: float | None = setting(
        None, "Weight of the penalty for source words without attention, if not the run's setting."
    )
    n_best: int = setting(1, "Translations of each line, best first, with their scores.")
    attention: str | None = setting(None, "Folder for a picture of each line's attention.", metavar="FOLDER")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object a line.")


def train(argv: list[str]) -> None:
    """Parses the arguments, trains and prints the progress."""
    train_task(TranslateConfig, "translate train", argv, TranslateTrainArguments)


def evaluate(argv: list[str]) -> None:
    """Parses the arguments, evaluates the run and prints the scores."""
    evaluate_run(parse(TranslateEvaluateArguments, "translate evaluate", argv), "translator")


def predict(argv: list[str]) -> None:
    """Parses the arguments and prints the translations of every line, as soon as they are there."""
    arguments = parse(TranslatePredictArguments, "translate predict", argv)
    check_sizes(n_best=arguments.n_best)
    from lm_jax.report.out_folder import check_folder

    folder = None if arguments.attention is None else check_folder(arguments.attention, "attention")
    batches = read_batches(arguments.file)

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries.load import load_as
    from lm_jax.queries.trained_translator import TrainedTranslator
    from lm_jax.queries.translate import encode_source

    keep_compiled()
    run = load_as(TrainedTranslator, arguments.run, arguments.cell)
    search = _search(arguments, run)
    if arguments.attention is not None and run.model.align is None:
        raise UserError(f"pictures of attention need a translator with attention, got {run.run}", ["attention"])
    for batch in batches:
        for line, translations in answered(
            batch,
            lambda text: encode_source(run, text),
            lambda texts: run.translate_all(texts, n_best=arguments.n_best, **search),
        ):
            _print(line.text, translations or [], arguments)
            if translations and folder is not None:
                _draw(run, line.text, translations[0], folder / f"line-{line.number}.png")


def _search(arguments: TranslatePredictArguments, run: Any) -> dict[str, Any]:
    """The settings of the search: those of the run, unless others were given."""
    names = ("beam_size", "length_penalty", "coverage_penalty")
    search = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    run.translate_all([], n_best=arguments.n_best, **search)  # refuses what cannot be, before a line is read
    return search


def _print(source, translations, arguments):
    if arguments.json:
        print(to_json({"source": source, "translations": [one._asdict() for one in translations]}), flush=True)
        return
    if not translations:  # an empty line stays one, so that lines stand beside those of the source
        print(flush=True)
    for one in translations:
        say(one.text if arguments.n_best == 1 else f"{one.score:.4f}\t{one.log_prob:.4f}\t{one.text}")


def _draw(run, source, translation, path):
    from lm_jax.report.attention_figure import draw_attention

    path.parent.mkdir(parents=True, exist_ok=True)
    draw_attention(run.attention(source, translation.text), path)
