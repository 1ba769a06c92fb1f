"""One study: its words, its command line, and the record that it writes."""

import argparse
import datetime
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.machine import describe
from lm_jax.report.numbers import cell
from lm_jax.report.study import Picture, Record, read_record, versions, write_study
from lm_jax.report.verdict import Verdict
from lm_jax.strict_json import to_json


RESULTS = Path(__file__).resolve().parents[1] / "results"
NOT_RECORDED = ("out", "runs", "page")  # options that change nothing about the numbers
PLACES = ("data", "kenlm", "pretrain")  # options that are paths of one machine: the record says --data DATA
ROWS_PRINTED = 30


def integer(default: int, text: str | None = None) -> dict[str, Any]:
    """The arguments of `add_argument` for an option that is a whole number."""
    return {"type": int, "default": default, "help": text}


class Findings(NamedTuple):
    """What the numbers of a study say; all of it is computed from its results, as JSON has them.

    title: the finding, as the heading of the page. answer: one sentence, of at most 25 words and three numbers.
    verdicts: the parts of the expectation, compared with the numbers. means: the short table of the page. rows: what
    was measured, for the CSV. columns: what each column of the two tables is, with its unit.
    """

    title: str
    answer: str
    verdicts: Sequence[Verdict]
    means: Sequence[dict[str, Any]]
    rows: Sequence[dict[str, Any]]
    columns: Mapping[str, str]
    pictures: Sequence[Picture] = ()
    seeds: Sequence[int] = (0,)


class Study:
    """A question, the answer that was expected, and the script that looks for it.

    Args:
        doc: docstring of the script. Its first line is the question; the paragraph that begins with "Expected: " says
            what was expected.
        file: path of the script; its name is that of the study, its folder the kind of question.
        options: arguments of `add_argument` by flag, beside --smoke, --out, --runs and --page.
        runs: name of the folder of runs in checkpoints/, if it is not that of the study.
    """

    def __init__(
        self,
        doc: str,
        file: str | Path,
        options: Mapping[str, dict[str, Any]] | None = None,
        runs: str | None = None,
    ):
        first, *paragraphs = doc.split("\n\n")
        self.name, self.folder = Path(file).stem, Path(file).parent.name
        self.question = " ".join(first.split())
        expected = next((text for text in paragraphs if text.startswith("Expected: ")), None)
        if expected is None:
            raise ValueError(f"a study has a paragraph that begins with 'Expected: ', got {doc!r}")
        self.expected = " ".join(expected.removeprefix("Expected: ").split())
        self.script = f"experiments/{self.folder}/{self.name}.py"
        self.options, self.runs = dict(options or {}), Path("checkpoints") / (runs or self.name)
        self.adds = False  # whether this run began with the record that it found

    @property
    def results(self) -> Path:
        """The folder of the recorded results."""
        return RESULTS / self.folder / self.name

    def main(
        self,
        run: Callable[[argparse.Namespace], dict[str, Any] | None],
        findings: Callable[[dict[str, Any]], Findings],
    ) -> None:
        """Parses the command line, runs the study, writes what it found and prints it.

        Args:
            run: the results from the arguments, `runs` being the folder for what is kept of a smoke test or of a whole
                run. What it keeps there it finds there when the same command is given again. None: there is nothing to
                write.
            findings: what the results say, as JSON has them, so that it can be said again of a record.
        """
        parser = self.parser()
        arguments = parser.parse_args()
        if arguments.page:
            print(self.write_again(arguments.out, findings))
            return
        command = self.command(parser, arguments)
        arguments.runs = arguments.runs / ("smoke" if arguments.smoke else "full")
        results = run(arguments)
        if results is None:
            return
        results = json.loads(to_json(results))
        found = findings(results)
        commands = self.commands(command, results, arguments.out)
        write_study(arguments.out, self.record(commands, results, found, arguments.out), found.pictures)
        print(found.answer, "", text_table(found.means or found.rows), sep="\n")

    def write_again(self, out: Path, findings: Callable[[dict[str, Any]], Findings]) -> Path:
        """Writes words, rows, pictures and page of a folder again from the results of its record; returns the page."""
        record = read_record(out, self.name)
        found = findings(record.results)
        return write_study(out, record._replace(rows=found.rows, **self.words(found, out)), found.pictures)[-1]

    def recorded(self, out: Path) -> dict[str, Any]:
        """The results of the record in a folder, for a study that adds to them; empty without a record.

        The record that is written then keeps the commands of this one.
        """
        if not (out / f"{self.name}.json").exists():
            return {}
        self.adds = True
        return read_record(out, self.name).results

    def commands(self, command: str, results: dict[str, Any], out: Path) -> list[str]:
        """Every command that added to the results, oldest first: those of the record that was added to, then this one.

        A command that found all of its numbers in the record has added nothing.
        """
        if not self.adds:
            return [command]
        before = read_record(out, self.name)
        known = before.all_commands
        return known if before.results == results else list(dict.fromkeys([*known, command]))

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
                words += map(shlex.quote, value if isinstance(value, list) else [value])
            elif value is True:
                words.append(flag)
            elif isinstance(value, list):
                words += [flag, *(shlex.quote(str(one)) for one in value)]
            else:
                words += [flag, name.upper() if name in PLACES else shlex.quote(str(value))]
        return " ".join(words)

    def words(self, found: Findings, out: Path) -> dict[str, Any]:
        """The fields of a record that its numbers do not hold: what they say, and the words of the script."""
        links = {}
        if out.resolve() == self.results.resolve():
            links["all studies"] = os.path.relpath(RESULTS / "index.html", self.results)
            links["script"] = os.path.relpath(RESULTS.parents[1] / self.script, self.results)
        return {
            "title": found.title,
            "question": self.question,
            "expected": self.expected,
            "answer": found.answer,
            "verdicts": [verdict._asdict() for verdict in found.verdicts],
            "means": found.means,
            "columns": dict(found.columns),
            "links": links or None,
        }

    def record(self, commands: list[str], results: dict[str, Any], found: Findings, out: Path) -> Record:
        """The record of findings of today, on this machine."""
        return Record(
            name=self.name,
            **self.words(found, out),
            command=commands[-1],
            commands=commands if len(commands) > 1 else None,
            results=results,
            rows=found.rows,
            versions=versions(),
            seeds=list(found.seeds),
            machine=describe(),
            date=datetime.date.today().isoformat(),
        )


def text_table(rows: Sequence[dict[str, Any]]) -> str:
    """The first rows as aligned lines under the names of their columns."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, *([cell(row.get(column)) for column in columns] for row in rows[:ROWS_PRINTED])]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    text = ["  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*text, *([f"({len(rows) - ROWS_PRINTED} more rows)"] * (len(rows) > ROWS_PRINTED))])
