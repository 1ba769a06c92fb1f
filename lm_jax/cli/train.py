"""`lm-jax train`: a new run, or `--resume RUN`."""

import dataclasses
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any, Literal

from lm_jax.cli.finished import finished_words
from lm_jax.cli.flags import positional
from lm_jax.cli.network import NetworkArguments
from lm_jax.cli.parsing import parse_with_config
from lm_jax.cli.screen import say
from lm_jax.config import TrainConfig, config_given, read_settings, setting
from lm_jax.config.settings import not_negative
from lm_jax.errors import UserError
from lm_jax.report.visible_text import one_line


@dataclasses.dataclass(frozen=True)
class TrainArguments(NetworkArguments):
    """Train a language model on a text. Without any setting: an LSTM, on the Python documentation, in a minute."""

    file: str | None = positional("Data, as by --data.", "FILE", optional=True, shown=False)

    run: str | None = setting(None, "Folder of the run, if not checkpoints/NAME-N.", metavar="FOLDER", common=True)
    resume: str | None = setting(
        None,
        "Folder of a run to resume. Only its length, its devices, and how often it reports, measures and saves may "
        "change. With --run it is copied to that new folder first; one that lies in the mirror is copied to "
        "checkpoints/.",
        metavar="RUN",
        common=True,
    )
    from_step: int | None = setting(
        None,
        "Step of the run of --resume that a new run, --run, begins with. Learning rate, clipping, --on-nonfinite, "
        "--on-spike and --good-states may then change, too; the run that was resumed stays as it is.",
        rule=not_negative,
    )
    mirror: str | None = setting(
        None,
        "Folder, such as one on a mounted drive, where a copy of the run folder is kept up to date.",
        metavar="FOLDER",
    )
    seeds: int | None = setting(
        None,
        "Number of seeds to train side by side, from --seed on. Each is a run, RUN/seed-N; the result is their means "
        "with standard errors.",
    )
    log: Literal["tensorboard"] | None = setting(
        None, "Program whose files the numbers of the training go to as well, in RUN/tensorboard/."
    )
    config_file: str | None = setting(
        None, "JSON file of settings, such as a run's config.json; flags override it.", metavar="FILE"
    )


def main(argv: list[str]) -> None:
    """Parses the arguments, trains and prints the progress."""
    train_task(TrainConfig, "train", argv)


def train_task(cls: type, verb: str, argv: list[str], arguments_of: type[TrainArguments] = TrainArguments) -> None:
    """Parses the arguments of a verb that trains, trains and prints the progress.

    Args:
        cls: the dataclass of the task's settings.
        verb: words of the verb.
        argv: the words after it.
        arguments_of: the dataclass of the verb's arguments; its docstring is the help's first line.
    """
    arguments, given = parse_with_config(arguments_of, cls, verb, argv)
    _check_pairs(arguments)
    config = make_config(with_file(given, arguments.file), _base(arguments, cls), cls)
    config.check()
    arguments.check()
    words = _finished(arguments, config)
    if words is not None:
        say(words)
        return
    if arguments.coordinator is None:
        _train(arguments, config, given)
    else:
        _train_with_others(arguments, config, given)


def with_file(given: dict[str, Any], file: str | None) -> dict[str, Any]:
    """Returns the settings with the data that were given without a flag; raises UserError for data given twice."""
    if file is None:
        return given
    if "data" in given:
        raise UserError(f"the data are given once, as FILE or as --data FILE, got {file} and {given['data']}")
    return {**given, "data": file}


def _finished(arguments: TrainArguments, config: Any) -> str | None:
    """Says that nothing is left to do of the run to resume, if that is so; a copy of it is to be made all the same."""
    if arguments.resume is None or arguments.run is not None or arguments.mirror is not None:
        return None
    opened = _resumed(arguments.resume)
    return finished_words(opened.path, config, opened.task.command) if config == opened.config else None


def _resumed(run: str) -> Any:
    from lm_jax.runs.open import open_run
    from lm_jax.runs.train import resumable_task

    opened = open_run(run)
    resumable_task(opened)
    return opened


def _base(arguments: TrainArguments, cls: type) -> Any:
    """Returns the settings that flags change: of the resumed run or of the file."""
    if arguments.resume is not None:
        return _resumed(arguments.resume).config
    return None if arguments.config_file is None else read_settings(Path(arguments.config_file).expanduser(), cls)


def make_config(given: dict[str, Any], base: Any = None, cls: Any = TrainConfig) -> Any:
    """Makes the configuration of the flags that were given, over the one that they change.

    Raises UserError for flags that exclude each other, and for a setting of a kind that is not chosen.
    """
    if ":" in given.get("cell", ""):
        from lm_jax.cells.user import user_cell

        given = {**given, "cell": user_cell(given["cell"])}
    return config_given(cls, given, base)


def _train_with_others(arguments, config, given):
    """Trains as one process of several. Exits without waiting for peers that may be dead."""
    from lm_jax.cli.dead_peers import ANOTHER_DIED, report_deaths

    report_deaths()
    from lm_jax.cli.main import in_flags
    from lm_jax.training.processes import connect

    try:
        connect(**arguments.network())
        _train(arguments, config, given)
    except UserError as error:
        print(f"error: {one_line(in_flags(error))}", file=sys.stderr, flush=True)
        time.sleep(1)  # the others refuse the same: without process 0 they would not get to say it
        os._exit(2)
    except RuntimeError as error:
        print(f"error: {ANOTHER_DIED} ({one_line(str(error).splitlines()[0])})", file=sys.stderr, flush=True)
        os._exit(1)


def _check_weights(config, given):
    """Raises UserError for a flag that contradicts the weights that the run begins with."""
    from lm_jax.runs.pretrained import begun
    from lm_jax.tasks import task_of
    from lm_jax.tasks.begin_from import check_given

    task = task_of(config)
    if task.begin is not None and task.pretrained(config) is not None:
        check_given(config, begun(config)[0], given)


def _train(arguments, config, given):
    from lm_jax.cells.user import has_user_cell
    from lm_jax.cli.console import TrainingConsole
    from lm_jax.cli.seeds_console import SeedsConsole
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.runs import resume, train, train_seeds

    keep_compiled()
    if arguments.resume is None:
        _check_weights(config, given)
    repeated = f" --cell {shlex.quote(config.model.cell.kind)}" if has_user_cell(config) else ""
    console = _listening(arguments, TrainingConsole(repeated) if arguments.seeds is None else SeedsConsole(repeated))
    try:
        if arguments.seeds is not None:
            train_seeds(config, arguments.seeds, arguments.run, console)
        elif arguments.resume:
            resume(arguments.resume, config, console, arguments.mirror, arguments.run, arguments.from_step)
        else:
            train(config, arguments.run, console, arguments.mirror)
    finally:
        console.close()


def _listening(arguments, console):
    """The console, and what else was asked for."""
    if arguments.log is None:
        return console
    from lm_jax.interop import TensorBoardListener
    from lm_jax.training.listeners import Listeners

    return Listeners(console, {"tensorboard": TensorBoardListener}[arguments.log]())


def _check_pairs(arguments):
    """Raises UserError for flags that exclude each other."""
    if arguments.resume and arguments.config_file:
        raise UserError(f"--resume keeps the run's own settings, got --config-file {arguments.config_file} too")
    if arguments.from_step is not None and (arguments.resume is None or arguments.run is None):
        raise UserError(
            f"--from-step begins a new run, --run NEW, from a step of another, --resume RUN, got {arguments.from_step} "
            f"without {'--run' if arguments.resume else '--resume'}"
        )
    if arguments.seeds is not None and arguments.resume:
        raise UserError(f"--seeds begins new runs, each of which is resumed alone, got --resume {arguments.resume} too")
    if arguments.seeds is not None and arguments.log:
        raise UserError(f"--log writes the numbers of one run, got --seeds {arguments.seeds} too")
    if arguments.seeds is not None and arguments.mirror:
        raise UserError(f"--mirror copies one run, got --seeds {arguments.seeds} too")
    if arguments.seeds is not None and arguments.coordinator:
        raise UserError(f"several processes train one run, got --seeds {arguments.seeds} too")
