"""A folder as a source of text: a file for each split, or text files that are joined in the order of their names."""

import re
from pathlib import Path
from typing import NamedTuple

from lm_jax.data.tables import TABLES
from lm_jax.errors import UserError


SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "validation", "val", "dev"), "test": ("test",)}
TEXT = ".txt"
NAMED = 3  # files that are named in a line; of the others their number


class JoinedFiles(NamedTuple):
    """The text files of a folder in the order in which they are joined, and the names of what is left out."""

    files: list[Path]
    left_out: list[str]

    def words(self, split: str | None = None) -> str:
        """Says in a line which files were read, and that they were split unless split is "all"."""
        number, names = len(self.files), [file.name for file in self.files]
        shown = names[0] if number == 1 else f"{names[0]} to {names[-1]}"
        by_position = "" if split == "all" else ", split by position"
        left_out = f"; left out: {_listed(self.left_out)}" if self.left_out else ""
        return f"{number:,} text file{'s joined' if number > 1 else ''} ({shown}){by_position}{left_out}"


def split_files(folder: Path) -> dict[str, Path] | None:
    """Returns the files of the three splits; None for a folder without any file of a split's name.

    Raises UserError where some split has no file, or several.
    """
    endings = (TEXT, *TABLES)
    files = [file for file in _contents(folder) if file.suffix.lower() in endings and file.is_file()]
    found = {split: [file for file in files if file.stem in names] for split, names in SPLIT_NAMES.items()}
    if not any(found.values()):
        return None
    for split, candidates in found.items():
        if len(candidates) != 1:
            got = " and ".join(file.name for file in candidates) or f"{folder} without {split}.txt"
            raise UserError(
                f"a data folder needs train, valid and test, each one file ({', '.join(endings)}), or only .txt files "
                f"of other names, which are joined; got {got}"
            )
    return {split: candidates[0] for split, candidates in found.items()}


def joined_files(folder: Path) -> JoinedFiles:
    """Returns the .txt files of a folder, sorted as people number them (ch_2 before ch_10).

    Folders in it are not entered, and hidden files are no texts. Raises UserError where there is no .txt file.
    """
    visible = [path for path in _contents(folder) if not path.name.startswith(".")]
    files = [path for path in visible if path.suffix.lower() == TEXT and path.is_file()]
    others = [f"{path.name}/" if path.is_dir() else path.name for path in visible if path not in files]
    if not files:
        got = f"{folder} with {_listed(others)}" if others else f"an empty folder: {folder}"
        raise UserError(f"a data folder needs train, valid and test, or .txt files, which are joined; got {got}")
    return JoinedFiles(sorted(files, key=natural_order), sorted(others))


def natural_order(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Sorts names with the numbers in them as numbers: ch_2 before ch_10. Equal numbers: by spelling."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    order = [(True, int(part), "") if part[0] in "0123456789" else (False, 0, part.casefold()) for part in parts]
    return order, path.name


def _contents(folder):
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"a data folder must be readable, got {folder}: {error.strerror}") from error


def _listed(names):
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
