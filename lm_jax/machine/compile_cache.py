"""Compiled programs stored on disk between commands, so that a second run starts at once."""

import os
from pathlib import Path


def compiled_folder() -> Path:
    """Returns the folder of compiled programs: the one that the environment names,
    or one in the user's cache folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or home / "lm_jax" / "compiled")


def keep_compiled() -> None:
    """Switches JAX's persistent compilation cache on, unless the environment already says where it is.

    Programs that compile within a second are kept too, unless the environment says otherwise: a short command has
    dozens of them, and little else to do.
    """
    import jax

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(compiled_folder()))
    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
