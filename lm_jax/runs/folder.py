"""The folder of a run: what lies in it, how it is made, and how its logs are cut back when a run is resumed."""

import dataclasses
import itertools
import json
import platform
from pathlib import Path
from typing import Any

from lm_jax.config import to_dict
from lm_jax.errors import UserError
from lm_jax.files import append_line, write_text
from lm_jax.strict_json import to_json, write_json


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
        """Writes config.json and vocabulary.json. record: what else is to be known of the run later."""
        self.path.mkdir(parents=True, exist_ok=True)
        head = {"format": FORMAT, "task": config.task, "config": to_dict(config), "python": platform.python_version()}
        write_json(self.config, head | record)
        if vocabulary is not None:
            vocabulary.save(self.vocabulary)

    def update_config(self, config: Any) -> None:
        """Records the settings that a resume changed."""
        if self.writes:
            record = json.loads(self.config.read_bytes())
            record.pop("family", None)  # of version 0.1
            head = {"format": FORMAT, "task": config.task, "config": to_dict(config)}
            write_json(self.config, head | {**record, **head})

    def append(self, path: Path, record: dict[str, Any]) -> None:
        """Adds one line of JSON; it is on disk when this returns."""
        if self.writes:
            append_line(path, to_json(record))

    def cut_back(self, step: int) -> None:
        """Drops the log lines after a step, and those of a closing validation: a resumed run writes them anew."""
        for path in (self.metrics, self.times) if self.writes else ():
            lines = [r for r in read_lines(path) if r["step"] <= step and not r.get("closing")]
            write_text(path, "".join(to_json(record) + "\n" for record in lines), lasting=True)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads the records of a JSON-lines file; a line that was damaged, or cut short by a crash, is left out."""
    records = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records


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
        raise UserError(f"run must be a new or an empty folder, got {run}; to continue that run: resume {run}", _RUN)
    return path
