"""`lm-jax parity train | evaluate`: the verb of a task of its own, as a file of lm_jax/cli would have it."""

import dataclasses
from typing import Literal

from lm_jax.cli.evaluate import evaluate_run
from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.train import TrainArguments, train_task
from lm_jax.cli.verbs import Verb
from lm_jax.config import setting
from tests.tasks.parity import ParityConfig


@dataclasses.dataclass(frozen=True)
class ParityTrainArguments(TrainArguments):
    """Train a network on the parity of bit strings."""


@dataclasses.dataclass(frozen=True)
class ParityEvaluateArguments:
    """Count the strings whose parity the best step of a run has right."""

    run: str = positional("Folder of the run.", "RUN")
    data: str | None = setting(None, "Nothing: the strings are all there are.", metavar="FILE")
    split: Literal["all"] = setting("all", "Part of the strings.")
    cell: str | None = setting(None, "Nothing: no cell is inside.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object.")


def train(argv):
    train_task(ParityConfig, "parity train", argv, ParityTrainArguments)


def evaluate(argv):
    evaluate_run(parse(ParityEvaluateArguments, "parity evaluate", argv), "parity of strings")


VERBS = {
    "parity train": Verb("train on parity", "parity:train", "ParityTrainArguments", "ParityConfig"),
    "parity evaluate": Verb("count the parities that are right", "parity:evaluate", "ParityEvaluateArguments"),
}
EXAMPLES = {
    "parity train": ("lm-jax parity train --bits 4",),
    "parity evaluate": ("lm-jax parity evaluate checkpoints/parity-1",),
}
