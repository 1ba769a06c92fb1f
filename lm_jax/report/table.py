"""A table of texts, whatever it is about: a task fills it, a console or a page draws it."""

from typing import NamedTuple

from lm_jax.short_repr import shortly_shown


@shortly_shown
class Table(NamedTuple):
    """Titles and rows of texts. words: how many of the first columns are words, which stand left; numbers stand right.

    sections: the rows after which a gap is left. drop: titles of the columns that a narrow terminal does without, the
    first to go first. ends_in_words: whether the last column is words too.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    sections: tuple[int, ...] = ()
    drop: tuple[str, ...] = ()
    ends_in_words: bool = False

    def without(self, titles: set[str]) -> "Table":
        """Returns the table without some columns."""
        places = [place for place, title in enumerate(self.titles) if title not in titles]
        return self._replace(
            titles=tuple(self.titles[place] for place in places),
            rows=tuple(tuple(row[place] for place in places) for row in self.rows),
            words=sum(place < self.words for place in places),
        )

    def is_words(self, place: int) -> bool:
        """Says whether a column is of words."""
        return place < self.words or (self.ends_in_words and place == len(self.titles) - 1)
