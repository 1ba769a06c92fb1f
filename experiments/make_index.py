"""Writes README.md, the index of the studies, out of their docstrings and recorded results.

python experiments/make_index.py
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

from experiments.harness import Study
from lm_jax.report.study import read_record


HERE = Path(__file__).parent
FOLDERS = ("gradients", "language_models", "tasks", "uses", "benchmarks")
IS_STUDY = re.compile(r"^STUDY = Study\(", re.MULTILINE)
HEAD = """# Experiments

One question a script. Every script says in its docstring what was expected before it ran, and leaves a record: a JSON
with every number, the command, versions, seeds and machine; a CSV; pictures; and a page, `report.html`, that needs no
other file. This index is made from the records by `python experiments/make_index.py`.

After `pip install -e .` in a clone:

    python experiments/gradients/depth.py            # runs the study; interrupted, the same command goes on
    python experiments/gradients/depth.py --smoke    # seconds; numbers mean nothing
    python experiments/gradients/depth.py --page     # writes the page again from its record, runs nothing

`--out FOLDER` keeps the record elsewhere, `--runs FOLDER` what an interrupted study goes on from. Without an editable
install, `python -m experiments.gradients.depth` in the clone does the same. What the studies share is in
[harness/](harness), the notebook in [colab/](colab).
"""


class Entry(NamedTuple):
    """A study as the index needs it: its words, its script, and how long it takes."""

    study: Study
    script: Path
    time: str


def scripts() -> list[Path]:
    """The scripts of all studies, by folder and name."""
    found = [path for folder in FOLDERS for path in sorted((HERE / folder).glob("*.py"))]
    return [path for path in found if IS_STUDY.search(path.read_text())]


def entry(script: Path) -> Entry:
    """The entry of a script, read without running it."""
    doc = ast.get_docstring(ast.parse(script.read_text()), clean=False) or ""
    time = re.search(r"^    python experiments/.*?  +(\S.*)$", doc, re.MULTILINE)
    return Entry(Study(doc, script, ""), script, time[1] if time else "")


def is_recorded(found: Entry) -> bool:
    """Says whether a study was run and left its record."""
    return (found.study.results / f"{found.study.name}.json").is_file()


def paragraph(found: Entry) -> str:
    """Question, answer, command, time, and links; of a study without a record that it was not run."""
    if not is_recorded(found):
        return (
            f"**{found.study.question}** Not run to its end yet.\n"
            f"`python {found.study.script}`, {found.time}; [script]({found.script.relative_to(HERE)}).\n"
        )
    record = read_record(found.study.results, found.study.name)
    place = found.study.results.relative_to(HERE)
    return (
        f"**[{record.question}]({place}/report.html)** {record.answer}\n"
        f"`{record.command}`, {found.time}; [script]({found.script.relative_to(HERE)}), "
        f"[record]({place}/{record.name}.json).\n"
    )


def index() -> str:
    """The text of README.md."""
    parts = [HEAD]
    for folder in FOLDERS:
        module = ast.parse((HERE / folder / "__init__.py").read_text())
        parts.append(f"## {folder.replace('_', ' ').capitalize()}\n\n{ast.get_docstring(module)}\n")
        parts += [paragraph(entry(script)) for script in scripts() if script.parent.name == folder]
    return "\n".join(parts)


if __name__ == "__main__":
    (HERE / "README.md").write_text(index())
