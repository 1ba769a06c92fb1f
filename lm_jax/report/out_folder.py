"""The folder that a verb writes its files to."""

import contextlib
import tempfile
from pathlib import Path

from lm_jax.errors import UserError


def check_folder(out: str | Path, setting: str = "out") -> Path:
    """Returns the path of a folder that can be written, or made and written; raises UserError otherwise.
    setting: what names it. Leaves nothing."""
    path = Path(out).expanduser().absolute()
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        rule = f"{setting} must be a folder that can be written"
        raise UserError(f"{rule}, got {out}: {error.strerror}", [setting]) from error
    finally:
        for made in missing:
            with contextlib.suppress(OSError):
                made.rmdir()
