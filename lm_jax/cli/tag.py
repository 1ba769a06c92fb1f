"""`lm-jax tag train | evaluate | predict`: words and their tags."""

import dataclasses
from typing import Literal

from lm_jax.cli.evaluate import evaluate_run
from lm_jax.cli.flags import positional
from lm_jax.cli.lines import answered, read_batches
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import say
from lm_jax.cli.train import TrainArguments, train_task
from lm_jax.config import TagConfig, setting
from lm_jax.config.settings import count
from lm_jax.errors import UserError, check_sizes
from lm_jax.strict_json import to_json


# of an empty line
NOTHING: dict[str, list] = {"words": [], "tags": [], "probabilities": [], "spans": [], "best": []}


@dataclasses.dataclass(frozen=True)
class TagTrainArguments(TrainArguments):
    """Train a tagger of words. Without any setting: of names in the Python standard library, by their role."""


@dataclasses.dataclass(frozen=True)
class TagEvaluateArguments:
    """Score tagged sentences with the best step of a run."""

    run: str = positional("Folder of the run.", "RUN")
    data: str | None = setting(None, "Tagged sentences as for training, if not the run's own.", metavar="FILE")
    split: Literal["train", "valid", "test", "all"] = setting("test", "Part of the sentences.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object.")


@dataclasses.dataclass(frozen=True)
class TagPredictArguments:
    """Tag every line of a file, or of standard input: a sentence of words with spaces between."""

    run: str = positional("Folder of the run.", "RUN")
    file: str | None = positional("Sentences, one a line; - or nothing for standard input.", "FILE", optional=True)
    n_best: int = setting(
        1,
        "Tag sequences for each sentence, the most probable first, each after its log-probability.",
        rule=count,
    )
    columns: bool = setting(
        False,
        "Whether a line has a word and its tag, with a tab between, and sentences end with a blank line. Empty lines "
        "of the file are left out.",
    )
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object a line.")


def train(argv: list[str]) -> None:
    """Parses the arguments, trains and prints the progress."""
    train_task(TagConfig, "tag train", argv, TagTrainArguments)


def evaluate(argv: list[str]) -> None:
    """Parses the arguments, evaluates the run and prints the scores."""
    evaluate_run(parse(TagEvaluateArguments, "tag evaluate", argv), "tagger")


def predict(argv: list[str]) -> None:
    """Parses the arguments and prints every line with its tags, as soon as they are there."""
    arguments = parse(TagPredictArguments, "tag predict", argv)
    check_sizes(n_best=arguments.n_best)
    if arguments.columns and (arguments.json or arguments.n_best > 1):
        raise UserError(
            "columns have one tag sequence and no JSON, got columns with n_best or json",
            ["columns", "n_best", "json"],
        )
    batches = read_batches(arguments.file)

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries.load import load_as
    from lm_jax.queries.tag import words_of
    from lm_jax.queries.trained_tagger import TrainedTagger

    keep_compiled()
    run = load_as(TrainedTagger, arguments.run, arguments.cell)
    run.tag_sentences([], arguments.n_best)  # refuses what cannot be, before a line is read
    for batch in batches:
        for _, sentence in answered(
            batch,
            lambda text: words_of(run, text),
            lambda texts: run.tag_sentences(texts, arguments.n_best),
        ):
            if sentence is None and arguments.columns:  # whose blank lines are ends of sentences
                continue
            say(_words(sentence, arguments))


def _words(sentence, arguments):
    if arguments.json:
        return to_json(NOTHING if sentence is None else sentence)
    if sentence is None:  # an empty line stays one, so that lines stand beside those of the file
        return ""
    if arguments.columns:
        return "".join(f"{word}\t{tag}\n" for word, tag in zip(sentence.words, sentence.tags, strict=True))
    lines = []
    for tags, log_prob in sentence.best:
        words = " ".join(f"{word}/{tag}" for word, tag in zip(sentence.words, tags, strict=True))
        lines.append(words if arguments.n_best == 1 else f"{log_prob:.4f}\t{words}")
    return "\n".join(lines)
