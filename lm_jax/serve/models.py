"""The runs that are served, by the names that requests call them by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.errors import UserError
from lm_jax.queries import LoadedRun, Reader, load
from lm_jax.queries.loaded_run import RunLike, UserCell


class Served(NamedTuple):
    """A run that is served. type: of its model, such as "language model". title: what it is, such as "LSTM 1x256".
    level: what a token is. layers: of a recurrent network. reader: of a language model, else None."""

    name: str
    run: LoadedRun
    type: str
    title: str
    level: str
    layers: int | None
    reader: Reader | None


_READERS = {"language model": Reader}


def names_of(folders: Sequence[str]) -> dict[str, str]:
    """Returns the folders by their last names; those that share one by their whole path."""
    names = [Path(folder).name or folder for folder in folders]
    return {folder if names.count(name) > 1 else name: folder for name, folder in zip(names, folders, strict=True)}


def serve_models(runs: Mapping[str, RunLike], cell: UserCell | None = None) -> dict[str, Served]:
    """Loads the runs.

    Args:
        runs: The folders of runs, or loaded runs, by name.
        cell: The user's own cell that runs were trained with.

    Raises:
        UserError: For no run at all, and for a folder that is none.
    """
    if not runs:
        raise UserError("at least one run must be served, got none")
    return {name: _served(name, run, cell) for name, run in runs.items()}


def _served(name: str, run: RunLike, cell: UserCell | None) -> Served:
    loaded = run if isinstance(run, LoadedRun) else load(run, cell)
    kind = loaded.task.model_type
    make = _READERS.get(kind)
    title = loaded.task.name(loaded.config)
    read = getattr(loaded.vocabulary, "inputs", loaded.vocabulary)  # of a classifier
    level = getattr(read, "level", "word")
    recurrent = getattr(loaded.model, "opened", None) is not None
    layers = getattr(loaded.config.model, "layers", None) if recurrent and hasattr(loaded.config, "model") else None
    return Served(name, loaded, kind, title, level, layers, make(loaded) if make else None)


def warm_up(models: Mapping[str, Served]) -> None:
    """Compiles what the first keystroke would wait for."""
    for served in models.values():
        if served.reader is not None:
            served.reader.warm_up()


def described(served: Served) -> dict[str, Any]:
    """Returns what `GET /v1/models` says of a run."""
    record = {"id": served.name, "object": "model", "created": 0, "owned_by": "lm-jax"}
    record |= {name: getattr(served, name) for name in ("type", "title", "level", "layers")}
    return record | {"path": served.run.run}


def with_reader(served: Served) -> Reader:
    """Returns the reader of a language model; raises UserError for another type of model."""
    if served.reader is None:
        raise UserError(f"this question is for a language model, got {served.name}, a {served.type}", ["model"])
    return served.reader
