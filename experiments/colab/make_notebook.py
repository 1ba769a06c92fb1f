"""Makes a notebook from the script of its name: cells in percent format in, a notebook with its outputs out.

    pip install nbclient ipykernel
    python experiments/colab/make_notebook.py quickstart gradient_laboratory

A line `# %%` begins a cell of code, `# %% [markdown]` one of text, whose lines are comments. The cells run in a
temporary folder; two to three minutes each on 2 CPU cores.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple


HERE = Path(__file__).parent


class Cell(NamedTuple):
    """A cell of a notebook: "code" or "markdown", and its text."""

    kind: str
    text: str


def cells(script: str) -> list[Cell]:
    """The cells of a script in percent format."""
    parts = re.split(r"^# %%(.*)\n", script, flags=re.MULTILINE)
    if parts[0].strip():
        raise ValueError(f"a script in percent format begins with # %%, got {parts[0].strip()[:40]!r}")
    found = []
    for mark, text in zip(parts[1::2], parts[2::2], strict=True):
        if "[markdown]" in mark:
            found.append(Cell("markdown", re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE)))
        else:
            found.append(Cell("code", text.strip()))
    return found


def notebook(script: str) -> str:
    """The text of a notebook (nbformat 4.5): no outputs, and the same ids for the same script."""
    record = {
        "cells": [_record(number, cell) for number, cell in enumerate(cells(script))],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def executed(text: str, folder: Path) -> str:
    """The notebook with the outputs of its cells, which a kernel of this interpreter runs in `folder`."""
    import nbformat  # pyright: ignore[reportMissingImports]
    from nbclient import NotebookClient  # pyright: ignore[reportMissingImports]

    record, ran = json.loads(text), nbformat.reads(text, 4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(ran, timeout=1200, kernel_name="python3", resources=where, record_timing=False).execute()
    ran = json.loads(nbformat.writes(ran))
    for cell, done in zip(record["cells"], ran["cells"], strict=True):
        cell |= {name: done[name] for name in ("execution_count", "outputs") if name in done}
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def _record(number, cell):
    record = {"cell_type": cell.kind, "id": f"cell-{number:02}", "metadata": {}}
    if cell.kind == "code":
        record |= {"execution_count": None, "outputs": []}
    return record | {"source": cell.text.splitlines(keepends=True)}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        made = notebook((HERE / f"{name}.py").read_text())
        with tempfile.TemporaryDirectory() as folder:
            (HERE / f"{name}.ipynb").write_text(executed(made, Path(folder)))
