"""A table of texts, whatever it is about: a task fills it, a console or a page draws it."""

from typing import NamedTuple


class Table(NamedTuple):
    """Titles and rows of texts. words: how many of the first columns are words, which stand left; numbers stand right.

    sections: the rows after which a gap is left.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    sections: tuple[int, ...] = ()
