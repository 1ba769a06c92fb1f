"""A matplotlib figure as a file, which is whole or not there."""

import functools
import warnings
from pathlib import Path
from typing import IO, Any

from lm_jax.files import replacing


# Installed ones take over where the usual font lacks a letter; where none has it, the font's sign for that is drawn.
FALLBACKS = (
    *("Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Symbols2", "Noto Emoji", "Arial Unicode MS"),
    *("Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "WenQuanYi Zen Hei", "Symbola"),
)


def save_figure(figure: Any, path: Path, dpi: int = 120) -> None:
    """Writes a figure in the format that the name of the file ends with.

    Args:
        figure: A matplotlib figure.
        path: The file; without an ending it is a PNG.
        dpi: Pixels per inch.
    """
    with replacing(path) as file:
        draw_into(figure, file, format=path.suffix.removeprefix(".") or "png", dpi=dpi)


def draw_into(figure: Any, file: IO[bytes], **options: Any) -> None:
    """Writes a figure into an open file, whatever letters its texts have.

    Args:
        figure: A matplotlib figure.
        file: The file, open for bytes.
        **options: Options of `savefig`.
    """
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_usetex(False)  # where a user's matplotlibrc has it on, _ and % are mistakes
        text.set_fontfamily([*text.get_fontfamily(), *_installed()])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, **options)


@functools.cache
def _installed():
    from matplotlib.font_manager import fontManager

    names = {font.name for font in fontManager.ttflist}
    return [name for name in FALLBACKS if name in names]
