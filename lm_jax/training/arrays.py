"""Arrays in folders: all of orbax is behind this module. A folder appears whole or not at all."""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def _quiet(below=logging.ERROR):
    """Silences notes that orbax makes on every save and load of unsharded arrays, and what else is below a level."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(below)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def save_arrays(folder: Path, parts: dict[str, Any], host: dict[str, Any]) -> None:
    """Writes pytrees of arrays and a record to a new folder; all processes together.

    Args:
        folder: The folder to be made.
        parts: The pytrees by name.
        host: A record of JSON types.

    Raises:
        OSError: Where the machine refuses: no space, a quota, a limit, no permission.
    """
    from orbax.checkpoint import v1 as ocp

    try:
        with _quiet(logging.CRITICAL):  # orbax's threads tell an error each, which is raised too
            ocp.save_checkpointables(str(folder), parts, custom_metadata=host)
    except Exception as error:
        refusal = next((cause for cause in causes(error) if _is_refusal(cause)), None)
        if refusal is None:
            raise
        reason = str(refusal).partition(" [")[0].splitlines()[0]
        raise OSError(
            f"{reason}; checkpoints that were saved before are as they were, and "
            "the run continues from them when it is resumed"
        ) from error


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


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the causes of an error, the first one first."""
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from causes(cause)
    yield error


def _is_refusal(error):
    """Says whether the machine refused: an error of the system, or one of tensorstore's, which begins with a status."""
    return isinstance(error, OSError) or re.match(r"[A-Z]+(_[A-Z]+)*: ", str(error)) is not None
