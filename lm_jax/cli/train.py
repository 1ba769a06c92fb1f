"""`lm-jax train`: a new run, or `--resume RUN`."""

import dataclasses
import itertools
import os
import sys
import time
from pathlib import Path

from lm_jax.cli.network import NetworkArguments
from lm_jax.cli.parsing import parse
from lm_jax.config import TrainConfig, read_settings
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class TrainArguments:
    """Train a language model on a text; without any setting, an LSTM on the Python documentation in two minutes."""

    config: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    network: NetworkArguments = dataclasses.field(default_factory=NetworkArguments)
    run: str | None = None
    """Folder of the run. Default: the next free one below checkpoints/."""
    resume: str | None = None
    """Go on with the run in this folder; only length, devices and how often it reports, measures, saves may change.
    With --run the run is copied to that new folder first; one that lies in the mirror is copied to checkpoints/."""
    mirror: str | None = None
    """Folder, such as one on a mounted drive, where a copy of the run folder is kept up to date while it trains."""
    seeds: int | None = None
    """Train so many seeds, --seed and those after it, in folders RUN/seed-N: means with standard errors at the end."""
    config_file: str | None = None
    """JSON with settings, such as a run's config.json; flags override it."""


def main(argv: list[str]) -> None:
    """Parses, trains, prints."""
    resumed, file = _value_of("--resume", argv), _value_of("--config-file", argv)
    default = TrainArguments()
    if resumed is not None:
        from lm_jax.runs.folder import RunFolder

        default = TrainArguments(config=RunFolder(Path(resumed)).read_resumable()[0])
    elif file is not None:
        default = TrainArguments(config=read_settings(Path(file)))
    arguments = parse(TrainArguments, "train", argv, default)
    given = {word.partition("=")[0] for word in argv}
    if {"--steps", "--epochs"} <= given and arguments.config.steps is not None:
        raise UserError("the length of a run is given in --steps or in --epochs, got both")
    if "--epochs" in given:  # also where a file or the resumed run has steps
        config = dataclasses.replace(arguments.config, steps=None)
        arguments = dataclasses.replace(arguments, config=config)
    _check_pairs(arguments)
    arguments.config.check()
    arguments.network.check()
    if arguments.network.coordinator is None:
        _train(arguments)
    else:
        _train_with_others(arguments)


def _train_with_others(arguments):
    """As one process of several. It leaves without the usual farewell to the others when they may be gone."""
    from lm_jax.cli.last_words import ANOTHER_DIED, report_deaths

    report_deaths()
    from lm_jax.training.processes import connect

    try:
        connect(**vars(arguments.network))
        _train(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        time.sleep(1)  # the others refuse the same: without process 0 they would not get to say it
        os._exit(2)
    except RuntimeError as error:
        print(f"error: {ANOTHER_DIED} ({str(error).splitlines()[0]})", file=sys.stderr, flush=True)
        os._exit(1)


def _train(arguments):
    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.report.console import TrainingConsole
    from lm_jax.report.seeds_console import SeedsConsole
    from lm_jax.runs import Listener, resume, train, train_seeds

    keep_compiled()
    console = TrainingConsole() if arguments.seeds is None else SeedsConsole()
    listener = Listener(
        console.start,
        console.dispatch,
        console.report,
        console.validation,
        console.scoring,
        console.end,
        console.telemetry,
        console.compilation,
    )
    try:
        if arguments.seeds is not None:
            train_seeds(arguments.config, arguments.seeds, arguments.run, listener)
        elif arguments.resume:
            resume(arguments.resume, arguments.config, listener, arguments.mirror, arguments.run)
        else:
            train(arguments.config, arguments.run, listener, arguments.mirror)
    finally:
        console.close()


def _check_pairs(arguments):
    """Raises UserError for flags that exclude each other."""
    if arguments.resume and arguments.config_file:
        raise UserError(f"--resume goes on with its own settings, got --config-file {arguments.config_file} too")
    if arguments.seeds is not None and arguments.resume:
        raise UserError(f"--seeds begins new runs, each of which is resumed alone, got --resume {arguments.resume} too")
    if arguments.seeds is not None and arguments.mirror:
        raise UserError(f"--mirror copies one run, got --seeds {arguments.seeds} too")
    if arguments.seeds is not None and arguments.network.coordinator:
        raise UserError(f"several processes train one run, got --seeds {arguments.seeds} too")


def _value_of(flag, argv):
    """What follows a flag: its file holds the defaults of all the others, so it is needed before they are read."""
    for word, following in itertools.zip_longest(argv, argv[1:]):
        if word.replace("_", "-") == flag:
            return following
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None
