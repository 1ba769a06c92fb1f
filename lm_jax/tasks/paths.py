"""Paths among the settings of a task, made to hold from every folder."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def with_absolute_files(settings: Any, names: Sequence[str] = ()) -> Any:
    """Returns settings whose path of data, and those with the given names, hold from every folder."""
    data = dataclasses.replace(settings.data, data=_absolute(settings.data.data))
    return with_absolute(dataclasses.replace(settings, data=data), names)


def with_absolute(settings: Any, names: Sequence[str]) -> Any:
    """Returns settings whose paths with the given names hold from every folder."""
    return dataclasses.replace(settings, **{name: _absolute(getattr(settings, name)) for name in names})


def _absolute(path):
    return path if path is None else str(Path(path).expanduser().resolve())
