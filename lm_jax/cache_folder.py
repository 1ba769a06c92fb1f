"""Where caches lie between commands: a folder of the user's, if there is any."""

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """Returns the folder for our caches, below XDG_CACHE_HOME or ~/.cache; None where there is neither.

    As the XDG Base Directory Specification says, a path that is empty or not absolute counts as none. A user without
    a home, such as a bare number in a container, has no caches, and works without.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        parent = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    except (RuntimeError, KeyError):  # no HOME, and no entry for the user either
        return None
    return parent / "lm_jax" if parent.is_absolute() else None
