"""One study: its words, its command line, and the record that it writes."""

import argparse
import datetime
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.machine import describe
from lm_jax.report.study import Picture, Record, read_record, versions, write_page, write_study


RESULTS = Path(__file__).parents[1] / "results"
NOT_RECORDED = ("out", "runs", "page")  # options that change nothing about the numbers
PLACES = ("data", "kenlm", "pretrain")  # options that are paths of one machine: the record says --data DATA
ROWS_PRINTED = 30


def integer(default: int, text: str | None = None) -> dict[str, Any]:
    """The arguments of `add_argument` for an option that is a whole number."""
    return {"type": int, "default": default, "help": text}


class Findings(NamedTuple):
    """What a run of a study has found: the answer in a sentence, every number, the table, pictures, seeds used."""

    answer: str
    results: dict[str, Any]
    rows: Sequence[dict[str, Any]]
    pictures: Sequence[Picture] = ()
    seeds: Sequence[int] = (0,)


class Study:
    """A question, the answer that was expected, and the script that looks for it.

    Args:
        doc: docstring of the script. Its first line is the question; the paragraph that begins with "Expected: " says
            what was expected.
        file: path of the script; its name is that of the study, its folder the kind of question.
        title: heading of the page.
        options: arguments of `add_argument` by flag, beside --smoke, --out, --runs and --page.
        runs: name of the folder of runs in checkpoints/, if it is not that of the study.
    """

    def __init__(
        self,
        doc: str,
        file: str | Path,
        title: str,
        options: Mapping[str, dict[str, Any]] | None = None,
        runs: str | None = None,
    ):
        first, *paragraphs = doc.split("\n\n")
        self.name, self.folder, self.title = Path(file).stem, Path(file).parent.name, title
        self.question = " ".join(first.split())
        expected = next((text for text in paragraphs if text.startswith("Expected: ")), None)
        if expected is None:
            raise ValueError(f"a study has a paragraph that begins with 'Expected: ', got {doc!r}")
        self.expected = " ".join(expected.removeprefix("Expected: ").split())
        self.script = f"experiments/{self.folder}/{self.name}.py"
        self.options, self.runs = dict(options or {}), Path("checkpoints") / (runs or self.name)

    @property
    def results(self) -> Path:
        """The folder of the recorded results."""
        return RESULTS / self.folder / self.name

    def main(self, run: Callable[[argparse.Namespace], Findings | None]) -> None:
        """Parses the command line, runs the study, writes what it found and prints it.

        run: from the arguments, `runs` being the folder for what is kept of a smoke test or of a whole run. What it
            keeps there it finds there when the same command is given again. None: there is nothing to write.
        """
        parser = self.parser()
        arguments = parser.parse_args()
        if arguments.page:
            print(write_page(arguments.out, self.name))
            return
        command = self.command(parser, arguments)
        arguments.runs = arguments.runs / ("smoke" if arguments.smoke else "full")
        found = run(arguments)
        if found is None:
            return
        write_study(arguments.out, self.record(command, found), found.pictures)
        print(found.answer, "", text_table(found.rows), sep="\n")

    def recorded(self, out: Path) -> dict[str, Any]:
        """The results of the record in a folder, for a study that adds to them; empty without a record."""
        return read_record(out, self.name).results if (out / f"{self.name}.json").exists() else {}

    def parser(self) -> argparse.ArgumentParser:
        """The options that all studies have, and this one's own."""
        parser = argparse.ArgumentParser(description=self.question)
        for flag, settings in self.options.items():
            parser.add_argument(flag, **settings)
        parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes; numbers mean nothing")
        parser.add_argument("--out", type=Path, default=self.results, help="folder for the record and the page")
        parser.add_argument("--runs", type=Path, default=self.runs, help="folder for what an interrupted study goes on")
        parser.add_argument("--page", action="store_true", help="only write the page of --out again, from its record")
        return parser

    def command(self, parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> str:
        """The command that makes the numbers again: options that differ from their defaults, without paths."""
        words = ["python", self.script]
        for name, value in vars(arguments).items():
            if name in NOT_RECORDED or value == parser.get_default(name):
                continue
            flag = "--" + name.replace("_", "-")
            if flag not in parser.format_help():  # a positional argument
                words += value if isinstance(value, list) else [value]
            elif value is True:
                words.append(flag)
            elif isinstance(value, list):
                words += [flag, *(shlex.quote(str(one)) for one in value)]
            else:
                words += [flag, name.upper() if name in PLACES else shlex.quote(str(value))]
        return " ".join(words)

    def record(self, command: str, found: Findings) -> Record:
        """The record of findings of today, on this machine."""
        return Record(
            name=self.name,
            title=self.title,
            question=self.question,
            expected=self.expected,
            answer=found.answer,
            command=command,
            results=found.results,
            rows=found.rows,
            versions=versions(),
            seeds=list(found.seeds),
            machine=describe(),
            date=datetime.date.today().isoformat(),
        )


def text_table(rows: Sequence[dict[str, Any]]) -> str:
    """The first rows as aligned lines under the names of their columns."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, *([_cell(row.get(column)) for column in columns] for row in rows[:ROWS_PRINTED])]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    text = ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*text, *([f"({len(rows) - ROWS_PRINTED} more rows)"] * (len(rows) > ROWS_PRINTED))])


def _cell(value):
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
