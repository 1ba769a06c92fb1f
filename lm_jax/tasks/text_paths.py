"""Where the text of a language model's run comes from: paths that hold from every folder."""

import dataclasses
from pathlib import Path
from typing import Any

from lm_jax.data.standard_input import STANDARD_INPUT, is_stream
from lm_jax.tasks.paths import with_absolute


def with_absolute_paths(settings: Any) -> Any:
    """Returns the settings with paths that hold from every folder."""
    return with_absolute(with_absolute_data(settings), ("init_from", "vocabulary"))


def with_absolute_data(settings: Any) -> Any:
    """Returns the settings with a data path that holds from every folder."""
    data = settings.data.data
    if is_stream(data):
        return with_data(settings, STANDARD_INPUT)
    if data is None or not Path(data).expanduser().exists():  # then it is the name of a data set
        return settings
    return with_data(settings, str(Path(data).expanduser().resolve()))


def with_data(settings: Any, data: str) -> Any:
    """Returns the settings with another source of the same text."""
    return dataclasses.replace(settings, data=dataclasses.replace(settings.data, data=data))
