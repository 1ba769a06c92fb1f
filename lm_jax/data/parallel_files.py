"""Reading parallel text: two files line by line, lines SOURCE<tab>TARGET, tables with two columns, folders of them."""

from pathlib import Path
from typing import NamedTuple

from lm_jax.data.labelled_files import split_at_random
from lm_jax.data.near_files import near_files
from lm_jax.data.sources import SPLIT_NAMES
from lm_jax.data.tables import TABLES, read_cells
from lm_jax.data.text_files import read_text
from lm_jax.errors import UserError


ENDINGS = (".tsv", *TABLES)


class Pair(NamedTuple):
    """A sentence, its translation, and where they stand, for messages."""

    source: str
    target: str
    place: str


PairSplits = dict[str, list[Pair]]


def read_parallel(data: str, source: str, target: str, whole: bool = False) -> PairSplits:
    """Reads pairs of sentences by split.

    Args:
        data: what two files have before their endings, such as FOLDER/text for text.de and text.en; or a file of lines
            SOURCE<tab>TARGET (.tsv) or a table; or a folder with train, valid and test as any of these. What is no
            folder is split 90/5/5 by a draw that is always the same.
        source: the ending of the files in the language that is read, or the column of a table.
        target: the same for the language that is written.
        whole: what is no folder is not split; its pairs, however few, are those of "all".

    Raises:
        UserError: for what is not there or cannot be read, files of different length, and an empty sentence.
    """
    if source == target:
        raise UserError(f"source and target must differ, got {source} twice", ["source", "target"])
    path = Path(data).expanduser()
    if path.is_dir():
        return {split: _split_of(path, split, source, target) for split in SPLIT_NAMES}
    if path.is_file():
        pairs = _read_file(path, source, target)
        return {"all": pairs} if whole else split_at_random(pairs, data)
    files = [path.with_name(f"{path.name}.{ending}") for ending in (source, target)]
    if not any(file.is_file() for file in files):
        raise UserError(
            "data must be an existing file or folder, or what two files have before their endings (source "
            f"{source!r}, target {target!r}), got {data}{near_files(data)}",
            ["data", "source", "target"],
        )
    pairs = _read_two(*files)
    return {"all": pairs} if whole else split_at_random(pairs, data)


def _split_of(folder, split, source, target):
    """Reads the pairs of one split: files whose names begin with its name, such as test or test_2016."""
    named = [file for file in sorted(folder.iterdir()) if file.is_file() and _is_of(file, SPLIT_NAMES[split])]
    sides = [[file for file in named if file.suffix == f".{ending}"] for ending in (source, target)]
    alone = [file for file in named if file.suffix.lower() in ENDINGS]
    if not alone and all(len(files) == 1 for files in sides):
        return _read_two(sides[0][0], sides[1][0])
    if len(alone) == 1 and not any(sides):
        return _read_file(alone[0], source, target)
    got = ", ".join(file.name for file in (*alone, *sides[0], *sides[1])) or f"{folder} without any"
    rule = f"a folder needs for {split} a file in each language (source {source!r}, target {target!r})"
    raise UserError(f"{rule}, or one of {', '.join(ENDINGS)}; got {got}", ["source", "target"])


def _is_of(file, names):
    return any(file.stem == name or file.stem.startswith((f"{name}_", f"{name}-", f"{name}.")) for name in names)


def _read_two(source, target):
    sides = [str(read_text(file, "char")).split("\n")[:-1] for file in (source, target)]
    counts = [len(lines) for lines in sides]
    if counts[0] != counts[1]:
        shorter, longer = (source, target) if counts[0] < counts[1] else (target, source)
        raise UserError(
            f"two files of a parallel text must have as many lines, got {min(counts):,} in {shorter}: line "
            f"{min(counts) + 1} of {longer}, which has {max(counts):,}, is a translation of none"
        )
    pairs = zip(*sides, strict=True)
    return _checked(
        [Pair(one, other, f"line {number} of {source}") for number, (one, other) in enumerate(pairs, 1)], source
    )


def _read_file(path, source, target):
    if path.suffix.lower() in TABLES:
        return _checked(_rows(path, source, target), path)
    if path.suffix.lower() != ".tsv":
        raise UserError(f"a file of parallel text must be one of {', '.join(ENDINGS)}, got {path}", ["data"])
    pairs = []
    for number, line in enumerate(str(read_text(path, "char")).split("\n")[:-1], 1):
        fields = line.split("\t")
        if len(fields) != 2:
            raise UserError(f"a line must be SOURCE, a tab, TARGET, got {line[:60]!r} in line {number} of {path}")
        pairs.append(Pair(fields[0], fields[1], f"line {number} of {path}"))
    return _checked(pairs, path)


def _rows(path, source, target):
    sides = [read_cells(path, column, name) for column, name in ((source, "source"), (target, "target"))]
    for column, cells in zip((source, target), sides, strict=True):
        for number, (_, cell) in enumerate(cells, 1):
            if not isinstance(cell, str):
                raise UserError(f"a cell must be a text, got {cell!r} in column {column}, row {number} of {path}")
    pairs = zip(*([cell for _, cell in cells] for cells in sides), strict=True)
    return [Pair(one, other, f"row {number} of {path}") for number, (one, other) in enumerate(pairs, 1)]


def _checked(pairs, path):
    """White space is one space: a line end inside a cell of a table is none in a text."""
    pairs = [
        pair._replace(source=" ".join(pair.source.split()), target=" ".join(pair.target.split())) for pair in pairs
    ]
    for pair in pairs:
        for side in ("source", "target"):
            if not getattr(pair, side):
                raise UserError(f"a sentence must hold a word, got an empty {side} in {pair.place}")
    if not pairs:
        raise UserError(f"a parallel text must hold a pair, got none in {path}")
    return pairs
