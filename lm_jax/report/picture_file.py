"""A matplotlib figure as a file, which is whole or not there."""

from pathlib import Path
from typing import Any

from lm_jax.files import replacing


def save_figure(figure: Any, path: Path, dpi: int = 120) -> None:
    """Writes a figure in the format that the name of the file ends with."""
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix(".") or "png", dpi=dpi)
