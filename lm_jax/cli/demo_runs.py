"""The runs that `lm-jax serve --demo` shows: the default models side by side, trained where they are not there yet."""

from pathlib import Path
from typing import Any

from lm_jax.cli.run_folders import PARENT, is_run
from lm_jax.cli.screen import say
from lm_jax.config import NGramConfig, TrainConfig, from_flat
from lm_jax.errors import UserError


def _estimate(config: Any, folder: Path) -> None:
    from lm_jax.cli.estimate_console import EstimateConsole
    from lm_jax.runs import train

    train(config, folder, EstimateConsole())


def _train(config: Any, folder: Path) -> None:
    from lm_jax.cli.console import TrainingConsole
    from lm_jax.runs import train

    console = TrainingConsole()
    try:
        train(config, folder, console)
    finally:
        console.close()


# the folders below checkpoints/, the settings of each, and how it is made; the networks are those of `lm-jax train`
DEMO = {
    "demo-5gram": (NGramConfig(), _estimate),
    "demo-rnn": (from_flat(TrainConfig, {"cell": "rnn"}), _train),
    "demo-lstm": (TrainConfig(), _train),
}


def demo_runs() -> list[str]:
    """Trains what is missing, and returns the folders; raises UserError for one that was not finished."""
    from lm_jax.machine.compile_cache import keep_compiled

    keep_compiled()
    folders = {name: PARENT / name for name in DEMO}
    for folder in folders.values():
        if is_run(folder) and not (folder / "results.json").is_file():
            raise UserError(f"{folder} was not finished: lm-jax train --resume {folder}, or remove it")
    for name, folder in folders.items():
        if not is_run(folder):
            say(f"training {folder} ...")
            config, make = DEMO[name]
            make(config, folder)
    return [str(folder) for folder in folders.values()]
