"""A run whose model is estimated without steps: from settings to a folder with its parameters and closing table."""

import time
from pathlib import Path
from typing import Any

import jax

from lm_jax.mapped import is_mapped
from lm_jax.runs.folder import check_new, new_folder
from lm_jax.runs.kept_text import keep_text
from lm_jax.runs.lock import claimed
from lm_jax.runs.results import EstimateResults, Run
from lm_jax.sealed_json import write_sealed
from lm_jax.tasks import Task
from lm_jax.training.listener import Listener


def estimate(task: Task, config: Any, run: str | Path | None, listener: Listener) -> Run:
    """Estimates a model in a new run folder.

    Args:
        task: one that has an `estimation`.
        config: its settings.
        run: the folder; default: the next free one below checkpoints/.
        listener: hears the stages and the end.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    estimation: Any = task.estimation
    estimation.check(config)
    if run is not None:
        check_new(run)
    started = time.perf_counter()
    data = task.load(config, None)
    config, chosen = task.choose(config, data)
    config = task.with_absolute_paths(config)
    found = estimation.estimate(config, data, listener.on_stage)
    seconds = time.perf_counter() - started
    notes = [*found.notes, *(f"{name} {value}, chosen for this text" for name, value in chosen.items())]
    listener.on_stage("scoring")
    model = task.model(config, data.vocabulary)
    closing = task.close(config, data, model, found.params, jax.random.key(0), listener.on_progress)
    folder = new_folder(run, task.folder_name(config))
    path = folder.path / estimation.file
    with claimed(folder.path):
        folder.create(config, data.vocabulary, {"notes": notes, **found.record, "corpus": data.record})
        keep_text(task, data, folder.path)
        estimation.save(path, found.params)
        size = path.stat().st_size
        results = EstimateResults(str(folder.path), notes, dict(found.record), size, seconds, closing)
        write_sealed(folder.path / "results.json", results.to_json())
    listener.on_end(results)
    # those of a text that is larger than memory are maps of files, which are read where they are used
    mapped = any(map(is_mapped, jax.tree.leaves(found.params)))
    params = found.params if mapped else estimation.read(path, data.vocabulary)
    return Run(folder.path, model, params, data.vocabulary, results)
