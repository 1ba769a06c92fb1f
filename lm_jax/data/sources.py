"""Where texts come from: files, folders, tables with a text column, and a few data sets by name.

A name is looked up in `HUB` and nowhere else: a path that does not exist is a mistake, never a name on the Hub.
"""

import codecs
import csv
import io
import json
import os
import re
import socket
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.errors import UserError


SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "validation", "val", "dev"), "test": ("test",)}
TABLES = (".csv", ".json", ".jsonl", ".parquet")


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
    text itself. The case of a file's ending does not matter.
    Raises UserError for anything that is not there or cannot be read as text.
    """
    path = Path(data).expanduser()
    if path.is_dir():
        return {split: _read(file, level, text_column) for split, file in _split_files(path).items()}
    if path.exists():
        return {"all": _read(path, level, text_column)}
    if data in HUB:
        return {split: as_text(text, level, data) for split, text in _read_hub(data).items()}
    raise UserError(f"data must be an existing file or folder, or one of {', '.join(HUB)}; got {data}", ["data"])


def _split_files(folder):
    endings = (".txt", *TABLES)
    file_of = {}
    for split, names in SPLIT_NAMES.items():
        files = [file for file in sorted(folder.iterdir()) if file.stem in names and file.suffix.lower() in endings]
        files = [file for file in files if file.is_file()]
        if len(files) != 1:
            got = " and ".join(file.name for file in files) or f"{folder} without {split}.txt"
            raise UserError(
                f"a data folder needs train, valid and test, each one file ({', '.join(endings)}); got {got}"
            )
        file_of[split] = files[0]
    return file_of


def _read(path, level, text_column):
    ending = path.suffix.lower()
    if ending not in TABLES:
        return read_text(path, level)
    read = {".csv": _csv_cells, ".parquet": _parquet_cells}.get(ending, _json_cells)
    return as_text(_join(read(path, text_column), text_column, path), level, str(path))


def _csv_cells(path, column):
    table = csv.reader(io.StringIO(_decode(_bytes(path), path), newline=""), strict=True)
    rows, cells = filter(None, table), []  # a blank line is no row
    limit = csv.field_size_limit(2**31 - 1)  # the default refuses cells of more than 131,072 characters
    try:
        header = next(rows, [column])
        _check_column(header, column, path)
        at = header.index(column)
        for row in rows:
            if len(row) != len(header):
                raise UserError(
                    f"a row needs as many fields as the header, {len(header)} (quotes go around a cell with a comma), "
                    f"got {len(row)} in line {table.line_num} of {path}"
                )
            cells.append((path, row[at]))
    except csv.Error as error:
        raise UserError(
            f"a .csv file must be readable as a table, got {path}: {error} in line {table.line_num}"
        ) from error
    finally:
        csv.field_size_limit(limit)
    return cells


def _json_cells(path, column):
    """Reads a column of JSON: objects one after the other (JSON lines), an array of them,
    or one object of whole columns."""
    rows = list(_json_values(_decode(_bytes(path), path), path))
    if len(rows) == 1 and isinstance(rows[0][1], dict) and isinstance(rows[0][1].get(column), list):
        rows = [(path, rows[0][1][column])]
    if len(rows) == 1 and isinstance(rows[0][1], list):
        rows = [(f"row {number} of {path}", row) for number, row in enumerate(rows[0][1], 1)]
    for place, row in rows:
        if isinstance(row, dict):
            _check_column(row, column, place)
    return [(place, row[column] if isinstance(row, dict) else row) for place, row in rows]


def _json_values(text, path):
    decoder, space = json.JSONDecoder(), re.compile(r"[^ \t\r\n]|\Z")

    def skip(position):  # to what is no space, or the end
        found = space.search(text, position)
        return len(text) if found is None else found.start()

    line, start = 1, skip(0)
    line += text.count("\n", 0, start)
    while start < len(text):
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise UserError(f"a {path.suffix} file must be readable as a table, got {path}: {error}") from error
        yield f"line {line} of {path}", value
        end = skip(end)
        line, start = line + text.count("\n", start, end), end


def _parquet_cells(path, column):
    from pyarrow.parquet import ParquetFile

    try:
        with path.open("rb") as file:
            table = ParquetFile(file)
            _check_column(table.schema_arrow.names, column, path)
            cells = table.read(columns=[column])[column].to_pylist()
    except UserError:
        raise
    except Exception as error:  # of many types: no table, a damaged one, strings that are not UTF-8, ...
        raise UserError(f"a .parquet file must be readable as a table, got {path}: {_cause(error)}") from error
    return [(f"row {number} of {path}", cell) for number, cell in enumerate(cells, 1)]


def _check_column(columns, column, place):
    if list(columns).count(column) != 1:
        got = " ".join(", ".join(columns).split())[:200]  # without a header, the first row: it may be long
        rule = f"a table needs a text column named {column} (text_column)"
        raise UserError(f"{rule}, got {got} in {place}", ["text_column"])


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
        cell = _decode(cell, place)
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
        reason = _cause(error) if online else "no network, and it is not in the local cache"
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
    _check_column(table.column_names, column, name)
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


def _cause(error):
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"


def read_text(path: Path, level: str) -> str | bytes:
    """Reads one file as a text of this level; see `as_text`. Raises UserError for an unreadable file too."""
    return as_text(_bytes(path), level, str(path))


def as_text(raw: str | bytes, level: str, source: str) -> str | bytes:
    """Bytes, or a string, as a text of this level, with a newline at the end.

    At byte level the bytes are left as they are. At the others they are UTF-8, and a line ends with a newline: one
    after a return (Windows) becomes a newline alone, and so does a return in a text without any newline (old Macs).
    Raises UserError for a text that is empty, not UTF-8, or, but at byte level, binary.
    """
    raw = _encode(raw, source) if isinstance(raw, str) else raw
    if not raw.removeprefix(codecs.BOM_UTF8).strip():
        raise UserError(f"a text file must hold some text, got an empty one: {source}")
    if level == "byte":
        return raw if raw.endswith(b"\n") else raw + b"\n"
    text = _decode(raw, source).replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if "\0" in text:
        raise UserError(f"a text file must not hold NUL characters, got a binary file: {source}")
    return text if text.endswith("\n") else text + "\n"


def _bytes(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"a text file must be readable, got {path}: {error.strerror}") from error


def _decode(raw, source):
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"a text file must be UTF-8, got byte {raw[error.start]:#04x} at {error.start}: {source}"
        ) from error


def _encode(text, source):
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # a string of JSON can have half a pair of escapes
        line = text.count("\n", 0, error.start) + 1
        raise UserError(
            f"a text must be Unicode, got the lone surrogate {text[error.start]!r} in its line {line}: {source}"
        ) from error
