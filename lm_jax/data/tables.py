"""A column of a table: .csv, .json, .jsonl or .parquet."""

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

from lm_jax.data.text_files import cause_of, decode, read_bytes
from lm_jax.errors import UserError
from lm_jax.input_files import memory_limit, open_regular


TABLES = (".csv", ".json", ".jsonl", ".parquet")
PARQUET_BATCH = 1024  # rows that are read at the same time
ROWS_A_BYTE, FEW_ROWS = 8, 1_000_000  # a table may have so many, whichever is more


def read_cells(path: Path, column: str, setting: str = "text_column") -> list[tuple[Any, Any]]:
    """Reads a column of a table: each cell, as the file has it, and where it stands.

    Args:
        path: a file of one of the kinds of `TABLES`.
        column: its name.
        setting: the setting that names it.

    Raises:
        UserError: for what is no table, or has no such column.
    """
    read = {".csv": _csv_cells, ".parquet": _parquet_cells}.get(path.suffix.lower(), _json_cells)
    return read(path, column, setting)


def _csv_cells(path, column, setting):
    table = csv.reader(io.StringIO(decode(read_bytes(path), path), newline=""), strict=True)
    rows, cells = filter(None, table), []  # a blank line is no row
    limit = csv.field_size_limit(2**31 - 1)  # the default refuses cells of more than 131,072 characters
    try:
        header = next(rows, [column])
        check_column(header, column, path, setting)
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


def _json_cells(path, column, setting):
    """Reads a column of JSON: objects one after the other (JSON lines), an array of them,
    or one object of whole columns."""
    rows = list(_json_values(decode(read_bytes(path), path), path))
    if len(rows) == 1 and isinstance(rows[0][1], dict) and isinstance(rows[0][1].get(column), list):
        rows = [(path, rows[0][1][column])]
    if len(rows) == 1 and isinstance(rows[0][1], list):
        rows = [(f"row {number} of {path}", row) for number, row in enumerate(rows[0][1], 1)]
    for place, row in rows:
        if isinstance(row, dict):
            check_column(row, column, place, setting)
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


def _parquet_cells(path, column, setting):
    from pyarrow.parquet import ParquetFile

    try:
        with open_regular(path) as file:
            table = ParquetFile(file)
            check_column(table.schema_arrow.names, column, path, setting)
            _check_parquet(table, column, path, os.fstat(file.fileno()).st_size)
            cells, size = [], 0
            for batch in table.iter_batches(PARQUET_BATCH, columns=[column]):  # a dictionary may repeat a long text
                size += batch.nbytes
                if size > memory_limit() // 4:
                    raise UserError(f"a table must fit into a quarter of the memory, got a larger one: {path}")
                cells += batch.column(0).to_pylist()
    except UserError:
        raise
    except Exception as error:  # of many types: no table, a damaged one, strings that are not UTF-8, ...
        raise UserError(f"a .parquet file must be readable as a table, got {path}: {cause_of(error)}") from error
    return [(f"row {number} of {path}", cell) for number, cell in enumerate(cells, 1)]


def _check_parquet(table, column, path, size):
    """Looks at what the file says of itself before anything is read: some types end the interpreter, and nulls take
    no room in the file."""
    import pyarrow

    kind = table.schema_arrow.field(column).type
    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    if pyarrow.types.is_nested(kind):
        found = "dict" if pyarrow.types.is_struct(kind) else "list"
        raise UserError(f"a text column must hold text, got {found} ({kind!s:.60}): {column} in {path}")
    rows = table.metadata.num_rows
    if rows > max(FEW_ROWS, ROWS_A_BYTE * size):
        raise UserError(
            f"a table must have at most {ROWS_A_BYTE} rows for each byte, got {rows:,} rows in {size:,} bytes: {path}"
        )


def check_column(columns: Any, column: str, place: Any, setting: str = "text_column") -> None:
    """Raises UserError unless a table has exactly one column of a name.

    Args:
        columns: The names of its columns.
        column: The name.
        place: The table, for the message.
        setting: The setting that has the name.

    Raises:
        UserError: For none, and for several.
    """
    if list(columns).count(column) != 1:
        got = " ".join(", ".join(columns).split())[:200]  # without a header, the first row: it may be long
        rule = f"a table needs a {setting.replace('_', ' ')} named {column} ({setting})"
        raise UserError(f"{rule}, got {got} in {place}", [setting])
