"""Words of a command that a person copies into a shell."""

import shlex
from pathlib import Path


def shell_path(path: str | Path) -> str:
    """Returns a path as a word of a command: quoted where a shell would read it otherwise, and no flag."""
    word = str(path)
    return shlex.quote(f"./{word}" if word.startswith("-") else word)
