"""Symbolic links in a run folder: one that leads out of it is refused before anything is read or written through it.

A run folder may come from anybody, and a run that goes on writes, renames and deletes in it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from lm_jax.errors import UserError


def check_links(folder: Path) -> None:
    """Raises UserError for the first link below a folder that leads out of it, or nowhere.

    The folder itself may be one: the user has named it.
    """
    home = folder.resolve()
    for link in _links(home):
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):  # a link to nothing, which a write would make; a circle of links
            target = None
        if target is None or not target.is_relative_to(home):
            raise UserError(f"a run folder must have no link that leads out of it, got {link} -> {os.readlink(link)}")


def _links(folder) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # a training has removed it meanwhile; whoever reads it will say what is wrong
        return
    for entry in entries:
        if entry.is_symlink():
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            yield from _links(entry.path)
