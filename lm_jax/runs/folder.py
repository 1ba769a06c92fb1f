"""The folder of a run: what lies in it, how it is made, and how its logs are cut back when a run is resumed."""

import dataclasses
import hashlib
import itertools
import platform
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lm_jax.config import to_dict
from lm_jax.errors import UserError
from lm_jax.files import append_line, write_text
from lm_jax.input_files import read_input
from lm_jax.report.commands import shell_path
from lm_jax.sealed_json import SEAL, take_seal, write_sealed
from lm_jax.strict_json import from_json, read_json, to_json


DEFAULT_PARENT = Path("checkpoints")
FORMAT = 2  # of config.json; the flat form of version 0.1 has no number
_RUN = ("run", "resume")
LOCK = ".lock"  # who writes into the folder at present
SEEDS = "seeds.json"  # in a folder that holds runs of several seeds


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of one run, and the files that are written into it."""

    path: Path
    writes: bool = True
    """Off in all processes of a run but one: then only checkpoints are written, which all take part in."""

    @property
    def config(self) -> Path:
        """The settings, and what else is to be known of the run later."""
        return self.path / "config.json"

    @property
    def vocabulary(self) -> Path:
        """The vocabulary; absent where the task has none."""
        return self.path / "vocabulary.json"

    @property
    def states(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "states"

    @property
    def figure(self) -> Path:
        """The loss curve."""
        return self.path / "loss.png"

    @property
    def telemetry(self) -> Path:
        """The picture of the telemetry; only of a run that has it."""
        return self.path / "telemetry.png"

    @property
    def metrics(self) -> Path:
        """One JSON line a report or validation; no clock times, so that equal runs have equal files."""
        return self.path / "metrics.jsonl"

    @property
    def times(self) -> Path:
        """Seconds and speed for the same steps."""
        return self.path / "times.jsonl"

    def create(self, config: Any, vocabulary: Any, record: dict[str, Any]) -> None:
        """Writes vocabulary.json and config.json.

        Args:
            config: The settings of the run.
            vocabulary: Its vocabulary; None for none.
            record: JSON values that are to be known of the run later.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        head = {"format": FORMAT, "task": config.task, "config": to_dict(config), "python": platform.python_version()}
        if vocabulary is not None:
            vocabulary.save(self.vocabulary)
        write_sealed(self.config, head | record)  # the last, for with it a folder is a run

    def update_config(self, config: Any) -> None:
        """Records the settings that a resume changed."""
        if self.writes:
            record = read_json(self.config)
            for name in ("family", SEAL):  # the first of version 0.1
                record.pop(name, None)
            head = {"format": FORMAT, "task": config.task, "config": to_dict(config)}
            write_sealed(self.config, head | {**record, **head})

    def append(self, path: Path, record: dict[str, Any]) -> None:
        """Adds one line of JSON; it is on disk when this returns."""
        if self.writes:
            append_line(path, to_json(record))

    def cut_back(self, step: int, unvalidated: bool = False) -> None:
        """Drops the log lines that a resumed run writes anew: those after a step, and of a closing validation.

        Args:
            step: The step that it goes on from.
            unvalidated: Whether it goes on with the validation of that step, which may be in the log: it is written
                before the state is saved.
        """

        def is_to_come(line):
            return (
                line["step"] > step or line.get("closing") or (unvalidated and line["step"] == step and "best" in line)
            )

        for path in (self.metrics, self.times) if self.writes else ():
            lines = [line for line in read_lines(path) if not is_to_come(line)]
            write_text(path, "".join(to_json(record) + "\n" for record in lines), lasting=True)

    def check_log(self, digest: str | None) -> None:
        """Warns if metrics.jsonl, cut back to a checkpoint, is not what it was when that was saved.

        Args:
            digest: Of its lines then; None where a version did not record it.
        """
        if self.writes and digest is not None and log_digest(read_lines(self.metrics)).hexdigest() != digest:
            warnings.warn(
                f"{self.metrics} is damaged: its lines up to the checkpoint are not those that were written; "
                "the run continues, and its older numbers are not to be relied on",
                stacklevel=2,
            )


def log_digest(lines: Iterable[dict[str, Any]]) -> Any:
    """Returns the running BLAKE2b of the lines of a log; `add_to_digest` goes on with it."""
    digest = hashlib.blake2b(digest_size=16)
    for line in lines:
        add_to_digest(digest, line)
    return digest


def add_to_digest(digest: Any, line: dict[str, Any]) -> None:
    """Adds a line of a log to its digest, unless a resumed run would drop it."""
    if not line.get("closing"):
        digest.update(f"{to_json(line)}\n".encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads the records of a JSON-lines file; a line that was damaged, cut short by a crash, that has
    something else where a number is meant, or that is there twice is left out."""
    records: list[dict[str, Any]] = []
    for line in read_input(path, pipes=False).split(b"\n") if path.exists() else []:
        try:
            record = from_json(line)
        except ValueError:
            continue
        whole = isinstance(record, dict) and type(record.get("step")) is int and record["step"] >= 0
        if whole and _has_numbers(record) and record != (records and records[-1]):
            records.append(record)
    return records


def _has_numbers(record):
    """Whether a line of a log has numbers where they are read."""
    names = [name for name in record if name in ("loss", "session_seconds") or name.startswith("valid_")]
    telemetry = record.get("telemetry", {})
    single = all(not isinstance(record[name], dict | list) and _is_number(record[name]) for name in names)
    return single and isinstance(telemetry, dict) and _is_number(telemetry)


def _is_number(value):
    """A number that is not too large to be drawn, null for none, or many of them."""
    if isinstance(value, dict):
        return all(map(_is_number, value.values()))
    if isinstance(value, list):
        return all(map(_is_number, value))
    return value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def read_results(path: Path) -> dict[str, Any]:
    """Returns what the results.json of a run folder holds, {} where there is none; raises ValueError for anything but
    an object, with a whole number of steps, a number of seconds and rows that are objects."""
    file = path / "results.json"
    if not file.is_file():
        return {}
    results = read_json(file)
    if not isinstance(results, dict):
        raise ValueError("results.json holds no object")
    whole = take_seal(results)
    step, seconds, rows = results.get("step", 0), results.get("seconds", 0.0), results.get("rows", [])
    if type(step) is not int or not _is_number(seconds) or isinstance(seconds, dict | list):
        raise ValueError("results.json has a step or seconds that are no numbers")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("results.json has rows that are no objects")
    if not whole:
        raise ValueError("results.json was changed since it was written: its checksum is not that of its values")
    return results


def new_folder(run: str | Path | None, name: str, mirror: str | Path | None = None) -> RunFolder:
    """Makes the folder of a new run.

    Two runs that start at once get two folders.

    Args:
        run: the folder; None for checkpoints/NAME-1, -2, ..., the first that is not there, nor in the mirror.
        name: NAME.
        mirror: the folder of copies.

    Raises:
        UserError: if the given folder has something in it or cannot be made.
    """
    if run is not None:
        path = check_new(run)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"run must be a folder that can be made, got {path}: {error.strerror}", ["run"]) from error
        return RunFolder(path)
    DEFAULT_PARENT.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = DEFAULT_PARENT / f"{name}-{number}"
        if mirror is not None and (Path(mirror).expanduser() / path.name).exists():
            continue
        try:
            path.mkdir()
            return RunFolder(path)
        except FileExistsError:
            continue
    raise AssertionError("there is always a next number")


def check_new(run: str | Path) -> Path:
    """Returns the path of a folder for a new run; raises UserError if it has something in it. Writes nothing."""
    path = Path(run).expanduser()
    if path.exists() and (not path.is_dir() or any(one.name != LOCK for one in path.iterdir())):
        raise UserError(
            f"run must be a new or an empty folder, got {run}; to continue that run: resume {shell_path(run)}", _RUN
        )
    return path
