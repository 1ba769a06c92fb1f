"""The size of a finished run: parameters or n-grams, bytes on disk, and the time that training took."""

from pathlib import Path
from typing import NamedTuple

from lm_jax.models.ngram.tables import ngram_sizes
from lm_jax.queries.loaded_run import LoadedRun
from lm_jax.runs.folder import RunFolder, read_results
from lm_jax.runs.setup import count_parameters
from lm_jax.training.saved_steps import find_steps, rank_steps


LOGS = ("metrics.jsonl", "times.jsonl", "results.json", "loss.png")  # what a model is used without


class RunSize(NamedTuple):
    """The size of a run.

    parameters, ngrams: one of them, the other is None. bytes: on disk, of the best parameters or the tables, with
    settings and vocabulary. training_seconds: wall time, None if not recorded.
    """

    parameters: int | None
    ngrams: int | None
    bytes: int
    training_seconds: float | None


def run_size(run: LoadedRun) -> RunSize:
    """Measures a run."""
    sizes = ngram_sizes(run.params)
    return RunSize(
        parameters=count_parameters(run.params) if sizes is None else None,
        ngrams=None if sizes is None else sum(sizes),
        bytes=bytes_on_disk(run.run),
        training_seconds=training_seconds(run.run),
    )


def bytes_on_disk(run: str | Path) -> int:
    """Bytes that a model takes to be used: the parameters of the best step or the tables, settings, vocabulary."""
    folder = RunFolder(Path(run).expanduser())
    if folder.states.is_dir():
        best = rank_steps(step for step in find_steps(folder.states) if step.damage is None)
        params = best[0].path / "params" if best else folder.states
        files = [folder.path / "config.json", folder.path / "vocabulary.json", *params.rglob("*")]
    else:
        files = [file for file in folder.path.iterdir() if file.name not in LOGS]
    return sum(file.stat().st_size for file in files if file.is_file())


def training_seconds(run: str | Path) -> float | None:
    """Wall time of all sessions, validations included, as results.json has it; None for a run that has not ended."""
    try:
        return read_results(Path(run).expanduser()).get("seconds")
    except (OSError, ValueError):
        return None
