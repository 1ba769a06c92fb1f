"""Compiled programs stored on disk between commands, so that a second run starts at once."""

import os
from pathlib import Path

from lm_jax.cache_folder import cache_folder


def compiled_folder() -> Path | None:
    """Returns the folder of compiled programs: the one that the environment names, or one in the user's cache folder;
    None where there is neither."""
    named = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if named:
        return Path(named)
    folder = cache_folder()
    return None if folder is None else folder / "compiled"


def keep_compiled() -> None:
    """Switches JAX's persistent compilation cache on, unless the environment already says where it is, or there is no
    folder that can be written: programs are then compiled anew each time.

    Programs that compile within a second are kept too, unless the environment says otherwise: a short command has
    dozens of them, and little else to do.
    """
    import jax

    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    folder = compiled_folder()
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") or folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK | os.X_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
