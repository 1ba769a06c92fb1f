"""Compiled programs kept on disk between commands, so that a second run starts at once."""

import os
from pathlib import Path


def keep_compiled() -> None:
    """Switches JAX's persistent compilation cache on, unless the environment already says where it is."""
    import jax

    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    jax.config.update("jax_compilation_cache_dir", str(home / "lm_jax" / "compiled"))
