"""The folder that a verb writes its files to."""

import contextlib
import tempfile
from pathlib import Path

from lm_jax.errors import UserError


def check_folder(out: str | Path) -> Path:
    """Returns the path of a folder that can be written, or made and written; raises UserError otherwise.
    Leaves nothing."""
    path = Path(out).expanduser().absolute()
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise UserError(f"out must be a folder that can be written, got {out}: {error.strerror}", ["out"]) from error
    finally:
        for made in missing:
            with contextlib.suppress(OSError):
                made.rmdir()
