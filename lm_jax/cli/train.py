"""`lm-jax train`: a new run, or `--resume RUN`."""

import dataclasses
from pathlib import Path

from lm_jax.cli.parsing import parse
from lm_jax.config import TrainConfig
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class TrainArguments:
    """Train a language model on a text; without any setting, an LSTM on the Python documentation in three minutes."""

    config: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    run: str | None = None
    """Folder of the run. Default: the next free one below checkpoints/."""
    resume: str | None = None
    """Go on with the run in this folder; only epochs, steps and the intervals of reports and checkpoints may change."""


def main(argv: list[str]) -> None:
    """Parses, trains, prints."""
    run = _resumed_run(argv)
    default = TrainArguments()
    if run is not None:
        from lm_jax.runs.folder import RunFolder

        default = TrainArguments(config=RunFolder(Path(run)).read()[0])
    arguments = parse(TrainArguments, "train", argv, default)
    if arguments.resume and arguments.run:
        raise UserError(f"--resume goes on in its own folder, got --run {arguments.run} too")

    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.report.console import TrainingConsole
    from lm_jax.runs import Listener, resume, train

    keep_compiled()
    console = TrainingConsole()
    listener = Listener(console.start, console.dispatch, console.report, console.validation, console.end)
    try:
        if arguments.resume:
            resume(arguments.resume, arguments.config, listener)
        else:
            train(arguments.config, arguments.run, listener)
    finally:
        console.close()


def _resumed_run(argv):
    """The folder after --resume: its settings are the defaults of all the other flags, so it is needed before them."""
    for word, following in zip(argv, [*argv[1:], None], strict=True):
        if word == "--resume":
            return following
        if word.startswith("--resume="):
            return word.partition("=")[2]
    return None
