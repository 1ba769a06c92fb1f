"""Files of tagged words: CoNLL-U and two columns.

CoNLL-U: ten columns with tabs, a word a line, a blank line after each sentence (universaldependencies.org/format).
Lines with an id such as 8-9 (a token of several words) or 8.1 (a word that is not in the text) are skipped. "_" is no
tag; among features (feats) it is one, of the words that have none. Any other file has two columns, word and tag,
between them a tab or other white space, and blank lines between sentences.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lm_jax.data.text_files import read_text
from lm_jax.errors import UserError


COLUMNS = {"upos": 3, "xpos": 4, "feats": 5, "deprel": 7}
FIELDS = 10


class Sentence(NamedTuple):
    """Words with their tags, the number of each word's line, and the file."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: tuple[int, ...]
    file: str


def read_sentences(path: Path, column: str = "upos") -> list[Sentence]:
    """Reads one file. Raises UserError, with the number of the line, for one that breaks its format."""
    text = str(read_text(path, "word"))
    read = _conllu_words if path.suffix.lower() == ".conllu" else _column_words
    sentences = [sentence for sentence in _sentences(read(text, str(path), column), str(path))]
    if not sentences:
        raise UserError(f"a file of tagged words needs a sentence, got none in {path}", ["data"])
    return sentences


def _sentences(words: Iterator[tuple[int, str, str] | None], file: str) -> Iterator[Sentence]:
    """Gathers (line, word, tag) to sentences; None ends one."""
    rows = []
    for row in (*words, None):
        if row is not None:
            rows.append(row)
        elif rows:
            lines, forms, tags = zip(*rows, strict=True)
            yield Sentence(forms, tags, lines, file)
            rows = []


def _column_words(text, file, column):
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            yield None
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        fields = [field.strip() for field in fields]
        if len(fields) != 2 or not all(fields):
            raise UserError(
                f"a line needs a word and a tag, with a tab or white space between, got {len(fields)} "
                f"field{'s' if len(fields) != 1 else ''} in line {number} of {file}: {_short(line)}"
            )
        yield number, fields[0], fields[1]


def _conllu_words(text, file, column):
    at, expected, comments = COLUMNS[column], 1, False
    no_tags = ("",) if column == "feats" else ("", "_")
    for number, line in enumerate(text.split("\n"), 1):
        place = f"in line {number} of {file}"
        if not line.strip():
            if comments and expected == 1:
                raise UserError(f"a sentence of CoNLL-U needs a word, got none before the blank line {place}")
            expected, comments = 1, False
            yield None
            continue
        if line.startswith("#"):
            comments = True
            continue
        fields = line.split("\t")
        if len(fields) != FIELDS:
            raise UserError(f"a line of CoNLL-U needs {FIELDS} columns between tabs, got {len(fields)} {place}")
        if _is_skipped(fields[0]):
            continue
        if fields[0] != str(expected):
            raise UserError(f"ids of CoNLL-U count the words of a sentence, here {expected}, got {fields[0]!r} {place}")
        if not fields[1].strip() or fields[at] in no_tags:
            missing, got = ("a form", fields[1]) if not fields[1].strip() else (f"a tag in column {column}", fields[at])
            raise UserError(f"a word of CoNLL-U needs {missing}, got {got!r} {place}")
        expected += 1
        yield number, fields[1], fields[at]


def _is_skipped(name):
    """Says whether an id is such as 8-9 or 8.1."""
    first, mark, second = name.partition("-" if "-" in name else ".")
    return bool(mark) and first.isdigit() and second.isdigit()


def _short(line):
    return repr(line if len(line) <= 60 else f"{line[:57]}...")
