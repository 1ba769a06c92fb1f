"""Prose of several authors for authorship.py: docstrings and comments, divided into training and held-out lines."""

import ast
import doctest
import io
import re
import sysconfig
import tokenize
from collections.abc import Iterable
from pathlib import Path

import numpy as np


NOT_PROSE = re.compile(r"copyright|licen[cs]e|author|@\w+\.", re.IGNORECASE)

SHARES = (0.7, 0.1)  # of the characters, for training and validation; the others are held out


def prose_blocks(path: Path) -> list[str]:
    """The docstrings and the comments of a Python file, without doctests."""
    source = path.read_text(encoding="utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    blocks = [without_doctests(ast.get_docstring(node) or "") for node in nodes]
    last_row = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line = token.string.lstrip("#").strip()
            if last_row == token.start[0] - 1:
                blocks[-1] += "\n" + line
            else:
                blocks.append(line)
            last_row = token.start[0]
    return blocks


def without_doctests(text: str) -> str:
    """What stands between the examples."""
    try:
        parts = doctest.DocTestParser().parse(text)
    except ValueError:  # not a well-formed doctest: code all the same
        return ""
    return "".join(part for part in parts if isinstance(part, str))


def library_blocks(authors: Iterable[str]) -> dict[str, list[str]]:
    """The blocks of prose of every author, from the running Python's own library."""
    library = Path(sysconfig.get_paths()["stdlib"])
    blocks = {}
    for author in authors:
        file = library / f"{author}.py"
        files = [file] if file.is_file() else sorted((library / author).rglob("*.py"))
        files = [path for path in files if not {"test", "tests", "idle_test"} & set(path.parts)]
        if files:  # some systems package a part of the library apart
            blocks[author.lstrip("_")] = [block for path in files for block in prose_blocks(path)]
    return blocks


def folder_blocks(folder: Path) -> dict[str, list[str]]:
    """The paragraphs of every author: one text file each."""
    return {f.stem: f.read_text(encoding="utf-8").split("\n\n") for f in sorted(folder.glob("*.txt"))}


def divide(blocks: list[str], generator: np.random.Generator) -> list[list[str]]:
    """Lines for training, validation and testing: whole blocks in random order, every line once."""
    seen, cleaned = set(), []
    for block in blocks:
        lines = [line.strip() for line in block.split("\n")]
        lines = [line for line in lines if re.search("[A-Za-z]{2}", line) and not NOT_PROSE.search(line)]
        cleaned.append([line for line in lines if not (line in seen or seen.add(line))])
    cleaned = [cleaned[i] for i in generator.permutation(len(cleaned))]
    sizes = np.cumsum([sum(len(line) + 1 for line in block) for block in cleaned])
    cuts = np.searchsorted(sizes, sizes[-1] * np.cumsum(SHARES))
    parts = (cleaned[: cuts[0]], cleaned[cuts[0] : cuts[1]], cleaned[cuts[1] :])
    return [[line for block in part for line in block] for part in parts]


def head(lines: list[str], size: int) -> list[str]:
    """As many of the first lines as have at most `size` bytes."""
    return lines[: int(np.searchsorted(np.cumsum([len(line.encode()) + 1 for line in lines]), size, side="right"))]
