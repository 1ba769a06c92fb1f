"""Arrays in folders: all of orbax is behind this module. A folder appears whole or not at all."""

import contextlib
import logging
import warnings
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def _quiet():
    """Silences notes that orbax makes on every save and load of unsharded arrays."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def save_arrays(folder: Path, parts: dict[str, Any], host: dict[str, Any]) -> None:
    """Writes pytrees of arrays by name, and a record of JSON types, to a new folder; all processes together."""
    from orbax.checkpoint import v1 as ocp

    with _quiet():
        ocp.save_checkpointables(str(folder), parts, custom_metadata=host)


def load_arrays(folder: Path, templates: dict[str, Any]) -> dict[str, Any]:
    """Reads the parts that are asked for, each with the structure, types and devices of its template."""
    from orbax.checkpoint import v1 as ocp

    with _quiet():
        return ocp.load_checkpointables(str(folder), templates)


def describe_arrays(folder: Path, part: str) -> tuple[Any, dict[str, Any]]:
    """Returns a part with shapes in place of arrays, and the record that was saved with all parts."""
    from orbax.checkpoint import v1 as ocp

    with _quiet():
        found: Any = ocp.metadata(str(folder), part)
    return found.metadata, found.custom_metadata or {}
