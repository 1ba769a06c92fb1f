"""Where texts come from: files, folders, standard input, tables with a text column, and a few data sets by name.

A name is looked up in `HUB` and nowhere else: a path that does not exist is a mistake, never a name on the Hub.
"""

import os
import socket
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.data.folders import SPLIT_NAMES, joined_files, split_files
from lm_jax.data.near_files import near_files
from lm_jax.data.standard_input import STANDARD_INPUT, read_standard_input
from lm_jax.data.tables import TABLES, check_column, read_cells
from lm_jax.data.text_files import as_text, cause_of, decode, read_text
from lm_jax.errors import UserError


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
    """Reads the texts of a source by split; a source that is one text has the single key "all".

    A table is the text of one column, a line a row, from a file of one of the kinds of `TABLES`; any other file is a
    text itself. The case of a file's ending does not matter. A folder has a file for each split, or text files that are
    joined to one text. "-" is standard input.

    Args:
        data: A file, a folder, "-" or a name of `HUB`.
        level: "byte" reads bytes; any other level text.
        text_column: The column of tables that has the text.

    Raises:
        UserError: For anything that is not there or cannot be read as text.
    """
    if data == STANDARD_INPUT:
        return {"all": as_text(read_standard_input(), level, "standard input")}
    path = Path(data).expanduser()
    if path.is_dir():
        files = split_files(path)
        if files is None:
            return {"all": joined(*[read_text(file, level) for file in joined_files(path).files])}
        return {split: _read(file, level, text_column) for split, file in files.items()}
    if path.exists():
        return {"all": _read(path, level, text_column)}
    if data in HUB:
        return {split: as_text(text, level, data) for split, text in _read_hub(data).items()}
    rule = f"data must be an existing file or folder, or one of {', '.join(HUB)}"
    raise UserError(f"{rule}; got {data}{near_files(data, HUB)}", ["data"])


def how_read(data: str | None, split: str | None = None) -> str:
    """Says which files of a folder are joined to a text; "" for any other source. split: what is taken of the text."""
    path = None if data is None else Path(data).expanduser()
    try:
        if path is None or not path.is_dir() or split_files(path) is not None:
            return ""
        return joined_files(path).words(split)
    except UserError:
        return ""  # a folder of another task's data


def joined(*texts: Any) -> Any:
    """Joins texts that are all strings, or all bytes."""
    return texts[0][:0].join(texts)


def _read(path, level, text_column):
    ending = path.suffix.lower()
    if ending not in TABLES:
        return read_text(path, level)
    return as_text(_join(read_cells(path, text_column), text_column, path), level, str(path))


def _join(cells, column, source):
    """Returns the text of (place, cell) pairs, a line each."""
    lines = [_line(cell, column, place) for place, cell in cells]
    if not lines:
        raise UserError(f"a table must have rows, got an empty table: {source}")
    text = "".join(lines)
    if not text.strip():
        raise UserError(f"a text column must hold some text, got an empty one: {column} in {source}")
    return text


def _line(cell, column, place):
    if cell is None:
        return "\n"  # that is how an empty cell of a .csv file reads
    if isinstance(cell, bytes):
        cell = decode(cell, place)
    if not isinstance(cell, str):
        raise UserError(f"a text column must hold text, got {type(cell).__name__}: {column} in {place}")
    return cell.rstrip("\r\n") + "\n"


def _library():
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # errors are reported once, in our words
    return datasets


def _read_hub(name):
    path, options, column = HUB[name]
    online = _reaches_hub()
    if not online:
        os.environ["HF_HUB_OFFLINE"] = "1"  # asks the local cache at once instead of retrying for half a minute
    datasets: Any = _library()
    if not online:
        datasets.config.HF_HUB_OFFLINE = True
    try:
        tables = datasets.load_dataset(path, **options)
    except Exception as error:  # ConnectionError, OfflineModeIsEnabled, FileNotFoundError, ... by version
        reason = cause_of(error) if online else "no network, and it is not in the local cache"
        raise UserError(
            f"the data set {name} ({path}) cannot be had: {reason}; "
            "give a local file or a folder with train.txt, valid.txt and test.txt instead"
        ) from error
    if len(tables) == 1:
        return {"all": _hub_text(next(iter(tables.values())), column, name)}
    return {
        split: next(_hub_text(tables[n], column, name) for n in names if n in tables)
        for split, names in SPLIT_NAMES.items()
    }


def _hub_text(table, column, name):
    check_column(table.column_names, column, name)
    return _join(((name, cell) for cell in table[column]), column, name)


def _reaches_hub(seconds=3.0):
    if "https" in urllib.request.getproxies():
        return True  # the proxy knows; a direct connection may well be closed
    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        url = urllib.parse.urlsplit(address)
        host, port = url.hostname, url.port or (80 if url.scheme == "http" else 443)
    except ValueError:
        host = None
    if not host:
        raise UserError(f"HF_ENDPOINT must be an address such as https://huggingface.co, got {address}")
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError:
        return False
    return True
