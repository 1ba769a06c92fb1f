"""Which files of a folder a text was made of: said, so that nobody has to guess their order."""

import sys

from lm_jax.report.visible_text import one_line


def report_folder(data: str | None, split: str | None = None) -> None:
    """Prints to standard error which files of a folder were joined; nothing for data of any other kind."""
    from lm_jax.data.sources import how_read

    words = how_read(data, split)
    if words:
        print(one_line(f"{data}: {words}"), file=sys.stderr)
