"""A run that is finished already: what `--resume` says of it, without doing its work again."""

from pathlib import Path
from typing import Any

from lm_jax.config.flat import flat_values
from lm_jax.report.commands import shell_path


def finished_words(path: Path, config: Any, command: str) -> str | None:
    """Says that a run is finished and how to continue it; None if it is not, or if that is not certain.

    A run that was resumed with other settings after its end has a config.json that is newer than its results.

    Args:
        path: the folder of the run.
        config: its settings.
        command: words of the command line that train it.
    """
    from lm_jax.runs.folder import read_results  # loads JAX

    try:
        results = read_results(path)
        newer = (path / "config.json").stat().st_mtime > (path / "results.json").stat().st_mtime
        newest = max(int(child.name) for child in (path / "states").iterdir() if child.name.isdigit())
        step = int(results["step"])
    except (OSError, ValueError, KeyError):
        return None
    if results.get("stopped", True) or newer or newest != step:
        return None
    settings = flat_values(config)
    if results.get("finished_early"):
        return (
            f"{path} is finished: it stopped early after step {step:,}, without improvement for "
            f"{settings['patience']} validations"
        )
    name = "epochs" if settings["steps"] is None else "steps"
    length = settings[name]
    return (
        f"{path} is finished: {step:,} steps, as --{name} {length} says; to continue: "
        f"lm-jax {command} --resume {shell_path(path)} --{name} {2 * length}"
    )
