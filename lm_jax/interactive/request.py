"""What a script asks for: a path or a configuration, and keywords that are named as the flags of the command line."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from lm_jax.cells.user import user_cell
from lm_jax.config import (
    ClassifyConfig,
    NGramConfig,
    TagConfig,
    TrainConfig,
    TranslateConfig,
    config_given,
    flat_settings,
)
from lm_jax.config.flat import ALIASES
from lm_jax.config.settings import is_settings
from lm_jax.errors import UserError, did_you_mean
from lm_jax.tasks import TASKS


CONFIGS = {
    "train": TrainConfig,
    "train_ngram": NGramConfig,
    "train_classifier": ClassifyConfig,
    "train_tagger": TagConfig,
    "train_translator": TranslateConfig,
}
OWN = ("run", "listener", "mirror")  # keywords that are no settings


def requested_config(cls: type, first: Any, settings: Mapping[str, Any]) -> Any:
    """Makes the configuration of a request.

    Args:
        cls: the dataclass of the configuration.
        first: the path of the data, a configuration that the settings change, or None.
        settings: by their flat names.

    Returns:
        The configuration, of the class of `first` if that is one.

    Raises:
        UserError: for settings that do not exist, do not go together or are given twice, and for another `first`.
    """
    is_config = _is_config(cls, first)
    check_names(type(first) if is_config else cls, settings)
    if is_config:
        return config_given(cls, with_own_cell(settings), first) if settings else first
    if first is None:
        return config_given(cls, with_own_cell(settings))
    if isinstance(first, str | os.PathLike):
        if "\n" in os.fspath(first):
            got = f"a text of {len(os.fspath(first)):,} characters"
            raise UserError(f"data must be the path of a file or folder, got {got}; write it to a file", ["data"])
        return config_given(cls, with_own_cell({"data": first, **settings}))
    got = type(first).__name__ if is_settings(first) else repr(first)[:80]
    raise UserError(
        f"data must be a path or a {cls.__name__}, got {got}; settings are keywords, such as train(epochs=4)", ["data"]
    )


def _is_config(cls, value):
    """Whether a value is a configuration of the class; in the place of a language model's, that of any task."""
    of_any_task = cls is TrainConfig and is_settings(value) and getattr(value, "task", None) in TASKS
    return of_any_task or isinstance(value, cls)


def check_names(cls: type, settings: Mapping[str, Any]) -> None:
    """Raises UserError for a keyword that is no setting of a configuration, and says what is nearest to it."""
    known = _names(cls)
    for name, value in settings.items():
        if name not in known:
            functions = [function for function, config in CONFIGS.items() if name in _names(config)]
            near = f"; that is a setting of {', '.join(functions)}" if functions else did_you_mean(name, [*known, *OWN])
            raise UserError(f"settings must be those of {cls.__name__}, got {name}={repr(value)[:60]}{near}")


def _names(cls):
    """The flat names of all settings, their short ones, and the names of the parts that they lie in."""
    return dict.fromkeys(
        [
            *(entry.name for entry in flat_settings(cls)),
            *ALIASES,
            *(field.name for field in dataclasses.fields(cls) if dataclasses.is_dataclass(field.type)),
        ]
    )


def with_own_cell(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Puts a user's own cell in the place of its name, FILE.py:NAME."""
    cell = settings.get("cell")
    return {**settings, "cell": user_cell(cell)} if isinstance(cell, str) and ":" in cell else dict(settings)


def check_paths(**paths: Any) -> None:
    """Raises UserError for a value that is no path."""
    for name, path in paths.items():
        if path is not None and not isinstance(path, str | os.PathLike):
            raise UserError(f"{name} must be the path of a folder, got {path!r}", [name])
