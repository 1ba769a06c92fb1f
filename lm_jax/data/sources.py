"""Where texts come from: files, folders, tables with a text column, and a few data sets by name.

A name is looked up in `HUB` and nowhere else: a path that does not exist is a mistake, never a name on the Hub.
"""

import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.errors import UserError


SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "validation", "val", "dev"), "test": ("test",)}
TABLES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


class HubText(NamedTuple):
    """A text on the Hugging Face Hub: what `datasets.load_dataset` is called with, and the column of its lines."""

    path: str
    options: dict[str, Any]
    column: str


HUB = {
    "wikitext-2": HubText("Salesforce/wikitext", {"name": "wikitext-2-v1"}, "text"),
    "wikitext-2-raw": HubText("Salesforce/wikitext", {"name": "wikitext-2-raw-v1"}, "text"),
    "wikitext-103": HubText("Salesforce/wikitext", {"name": "wikitext-103-v1"}, "text"),
    "wikitext-103-raw": HubText("Salesforce/wikitext", {"name": "wikitext-103-raw-v1"}, "text"),
    "ptb": HubText("ptb-text-only/ptb_text_only", {"revision": "refs/convert/parquet"}, "sentence"),
    "tiny-shakespeare": HubText(
        "text",
        {"data_files": "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"},
        "text",
    ),
}


def read_source(data: str, level: str, text_column: str) -> dict[str, str | bytes]:
    """The texts of a source by split; a source that is one text has the single key "all".

    Raises UserError for anything that is not there or cannot be read as text.
    """
    path = Path(data).expanduser()
    if path.is_dir():
        return {split: _read(file, level, text_column) for split, file in _split_files(path).items()}
    if path.exists():
        return {"all": _read(path, level, text_column)}
    if data in HUB:
        return _encode(_read_hub(data), level)
    raise UserError(f"--data must be an existing file or folder, or one of {', '.join(HUB)}; got {data}")


def _split_files(folder):
    endings = (".txt", *TABLES)
    found = {}
    for split, names in SPLIT_NAMES.items():
        files = [folder / (name + ending) for name in names for ending in endings]
        files = [file for file in files if file.is_file()]
        if len(files) != 1:
            got = " and ".join(file.name for file in files) or f"{folder} without {split}.txt"
            raise UserError(
                f"a data folder needs train, valid and test, each one file ({', '.join(endings)}); got {got}"
            )
        found[split] = files[0]
    return found


def _read(path, level, text_column):
    if path.suffix not in TABLES:
        return read_text(path, level)
    # left to itself, the reader of .csv files takes the words NA and None for missing cells, and 007 for a number
    options = {"keep_default_na": False, "converters": {text_column: str}} if path.suffix == ".csv" else {}
    datasets = _library()
    try:
        table = datasets.load_dataset(TABLES[path.suffix], data_files=str(path), split="train", **options)
        return _encode({"all": _join(table, text_column, str(path))}, level)["all"]
    except UserError:
        raise
    except Exception as error:  # datasets raises many types for unreadable files; their cause says what is wrong
        raise UserError(f"a {path.suffix} file must be readable as a table, got {path}: {_cause(error)}") from error


def _library():
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what goes wrong is told once, in our words
    return datasets


def _join(table, column, source):
    if column not in table.column_names:
        raise UserError(
            f"a table needs a text column named {column} (--text-column), "
            f"got {', '.join(table.column_names)} in {source}"
        )
    # a missing value is an empty line: that is how an empty cell of a .csv file reads
    text = "".join("\n" if row is None else f"{str(row).rstrip(chr(10))}\n" for row in table[column])
    if not text.strip():
        raise UserError(f"a text column must hold some text, got an empty one: {column} in {source}")
    return text


def _encode(texts, level):
    return {split: text.encode() if level == "byte" else text for split, text in texts.items()}


def _read_hub(name):
    path, options, column = HUB[name]
    online = _reaches_hub()
    if not online:
        os.environ["HF_HUB_OFFLINE"] = "1"  # asks the local cache at once instead of retrying for half a minute
    datasets = _library()
    if not online:
        datasets.config.HF_HUB_OFFLINE = True
    try:
        tables = datasets.load_dataset(path, **options)
    except Exception as error:  # ConnectionError, OfflineModeIsEnabled, FileNotFoundError, ... by version
        reason = _cause(error) if online else "no network, and it is not in the local cache"
        raise UserError(
            f"the data set {name} ({path}) cannot be had: {reason}; "
            "give a local file or a folder with train.txt, valid.txt and test.txt instead"
        ) from error
    if len(tables) == 1:
        return {"all": _join(next(iter(tables.values())), column, name)}
    return {
        split: next(_join(tables[n], column, name) for n in names if n in tables)
        for split, names in SPLIT_NAMES.items()
    }


def _reaches_hub(host="huggingface.co", seconds=3.0):
    try:
        socket.create_connection((host, 443), timeout=seconds).close()
    except OSError:
        return False
    return True


def _cause(error):
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"


def read_text(path: Path, level: str) -> str | bytes:
    """The contents of one file, with a newline at the end: bytes at byte level, otherwise UTF-8 text.

    Raises UserError for a file that is empty, unreadable, or (but at byte level) not UTF-8 text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"a text file must be readable, got {path}: {error.strerror}") from error
    return as_text(raw, level, str(path))


def as_text(raw: bytes, level: str, source: str) -> str | bytes:
    """Bytes as a text of this level, with a newline at the end; raises UserError as `read_text` does."""
    if not raw.strip():
        raise UserError(f"a text file must hold some text, got an empty one: {source}")
    if level == "byte":
        return raw if raw.endswith(b"\n") else raw + b"\n"
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UserError(
            f"a text file must be UTF-8, got byte {raw[error.start]:#04x} at {error.start}: {source}"
        ) from error
    if "\0" in text:
        raise UserError(f"a text file must not hold NUL characters, got a binary file: {source}")
    return text if text.endswith("\n") else text + "\n"
