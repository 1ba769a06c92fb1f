"""Settings as somebody gives them, by their flat names: the flags of the command line, the keywords of a script."""

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from lm_jax.config.flat import ALIASES, from_flat
from lm_jax.errors import UserError


Config = TypeVar("Config")


def config_given(cls: type[Config], given: Mapping[str, Any], base: Config | None = None) -> Config:
    """Makes a configuration of the settings that were given, over the one that they change.

    Args:
        cls: the dataclass of the configuration.
        given: values by flat name, or by a short one such as lr; a path is taken as its text.
        base: the configuration that they change; default: the defaults.

    Raises:
        UserError: as `from_flat`, and for settings that exclude each other or are given twice.
    """
    settings = {}
    for name, value in given.items():
        full = ALIASES.get(name, name)
        if full in settings:
            raise UserError(f"a setting is given once, got both {full} and its short name", [full])
        settings[full] = os.fspath(value) if isinstance(value, os.PathLike) else value
    if settings.get("steps") is not None and settings.get("epochs") is not None:
        raise UserError("the length of a run is given in steps or in epochs, got both", ["steps", "epochs"])
    if "epochs" in settings:  # also where a file or the resumed run has steps
        settings["steps"] = None
    return from_flat(cls if base is None else type(base), settings, base)
