"""Reading texts with labels: lines LABEL<tab>TEXT, tables with two columns, folders of three files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lm_jax.data.near_files import near_files
from lm_jax.data.sources import SPLIT_NAMES
from lm_jax.data.tables import TABLES, read_cells
from lm_jax.data.text_files import read_text
from lm_jax.errors import UserError


ENDINGS = (".tsv", ".txt", *TABLES)
FEWEST = 20  # texts of a file that is split


class LabelledText(NamedTuple):
    """A text, its label, and where it stands, for messages."""

    label: str
    text: str
    place: str


Splits = dict[str, list[LabelledText]]


def read_labelled(data: str, text_column: str, label_column: str, whole: bool = False) -> Splits:
    """Reads labelled texts by split.

    A folder has a file for each split. Of one file 5 % of the texts are drawn for validation, 5 % for testing: it may
    be sorted by its labels.

    Args:
        data: A file of lines LABEL<tab>TEXT, a table, or a folder.
        text_column: The column of tables that has the text.
        label_column: The column that has the label.
        whole: Whether one file is not split: its texts, however few, are those of "all".

    Raises:
        UserError: For anything that is not there or cannot be read.

    """
    path = Path(data).expanduser()
    if path.is_dir():
        return {split: _read(file, text_column, label_column) for split, file in split_files(path).items()}
    if not path.exists():
        raise UserError(f"data must be an existing file or folder, got {data}{near_files(data)}", ["data"])
    texts = _read(path, text_column, label_column)
    return {"all": texts} if whole else split_at_random(texts, data)


def split_at_random(texts: Sequence, source: str) -> dict[str, list]:
    """Splits texts 90/5/5 by a draw that is always the same; raises UserError for fewer than 20."""
    if len(texts) < FEWEST:
        raise UserError(f"one file that is split 90/5/5 needs at least {FEWEST} texts, got {len(texts)} in {source}")
    held_out = len(texts) // FEWEST
    drawn = np.random.default_rng(0).permutation(len(texts))
    places = {"valid": drawn[:held_out], "test": drawn[held_out : 2 * held_out], "train": drawn[2 * held_out :]}
    return {split: [texts[place] for place in sorted(places[split])] for split in ("train", "valid", "test")}


def split_files(folder: Path, endings: Sequence[str] = ENDINGS) -> dict[str, Path]:
    """Returns the file of each split in a folder; raises UserError unless there is one of each."""
    found = {}
    for split, names in SPLIT_NAMES.items():
        files = [file for file in sorted(folder.iterdir()) if file.stem in names and file.suffix.lower() in endings]
        if len(files) != 1:
            got = " and ".join(file.name for file in files) or f"{folder} without {split}"
            raise UserError(
                f"a data folder needs train, valid (or dev) and test, each one file ({', '.join(endings)}); got {got}",
                ["data"],
            )
        found[split] = files[0]
    return found


def _read(path, text_column, label_column):
    texts = _lines(path) if path.suffix.lower() not in TABLES else _rows(path, text_column, label_column)
    for one in texts:
        if not one.text.strip():
            raise UserError(f"a text must hold a word, got an empty one in {one.place}")
        if not one.label:
            raise UserError(f"a label must not be empty, got none in {one.place}")
    if not texts:
        raise UserError(f"a file of labelled texts must hold some, got none in {path}")
    return texts


def _lines(path):
    texts = []
    for number, line in enumerate(str(read_text(path, "char")).split("\n")[:-1], 1):
        label, tab, text = line.partition("\t")
        if not tab:
            raise UserError(f"a line must be LABEL, a tab, TEXT, got {line[:60]!r} in line {number} of {path}")
        texts.append(LabelledText(label.strip(), text, f"line {number} of {path}"))
    return texts


def _rows(path, text_column, label_column):
    labels = read_cells(path, label_column, "label_column")
    texts = read_cells(path, text_column, "text_column")
    for column, cells in ((text_column, texts), (label_column, labels)):
        for number, (_, cell) in enumerate(cells, 1):
            if cell is None or not isinstance(cell, str | int | bool):
                raise UserError(f"a cell must be a text, got {cell!r} in column {column}, row {number} of {path}")
    pairs = zip(labels, texts, strict=True)
    return [
        LabelledText(str(label), str(text), f"row {number} of {path}")
        for number, ((_, label), (_, text)) in enumerate(pairs, 1)
    ]
