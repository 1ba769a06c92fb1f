"""The folder of a run: what lies in it, how it is made, and how its logs are cut back when a run is resumed."""

import dataclasses
import itertools
import json
import platform
from pathlib import Path
from typing import Any

from lm_jax.config import NGramConfig, TrainConfig, load_config, to_dict
from lm_jax.data.corpora import SPLITS, Corpus
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError


DEFAULT_PARENT = Path("checkpoints")
SEEDS = "seeds.json"  # in a folder that holds runs of several seeds


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of one run, and the few things that are read from and written to them."""

    path: Path
    writes: bool = True
    """Off in all processes of a run but one: then only checkpoints are written, which all take part in."""

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
        """How far back the gradient reached, step by step; only of a run with telemetry."""
        return self.path / "telemetry.png"

    @property
    def metrics(self) -> Path:
        """One JSON line a report or validation; no clock times, so that equal runs have equal files."""
        return self.path / "metrics.jsonl"

    @property
    def times(self) -> Path:
        """Seconds and speed for the same steps."""
        return self.path / "times.jsonl"

    def create(self, config: TrainConfig | NGramConfig, vocabulary: Vocabulary, facts: dict[str, Any]) -> None:
        """Writes config.json and vocabulary.json. facts: what else is to be known of the run later."""
        self.path.mkdir(parents=True, exist_ok=True)
        record = {"family": config.family, "config": to_dict(config), "python": platform.python_version(), **facts}
        (self.path / "config.json").write_text(json.dumps(record, indent=2) + "\n")
        vocabulary.save(self.path / "vocabulary.json")

    @property
    def tables(self) -> Path:
        """The tables of an n-gram model."""
        return self.path / "tables.npz"

    def update_config(self, config: TrainConfig) -> None:
        """Records the settings that a resume changed."""
        if not self.writes:
            return
        path = self.path / "config.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "config": to_dict(config)}, indent=2) + "\n")

    def read(self) -> tuple[TrainConfig | NGramConfig, dict[str, Any], Vocabulary]:
        """The configuration, the facts recorded beside it, and the vocabulary; UserError if this is no run."""
        if (self.path / SEEDS).is_file():
            raise UserError(f"a run of several seeds has a folder for each, seed-N; choose one, got {self.path}")
        for name in ("config.json", "vocabulary.json"):
            if not (self.path / name).is_file():
                raise UserError(f"a run folder holds config.json and vocabulary.json, got {self.path} without {name}")
        try:
            config, record = load_config(self.path / "config.json")
            config.check()
            if not isinstance(record.get("corpus"), dict):
                raise UserError(f"a run's config.json has the facts of its corpus, got {self.path} without them")
            return config, record, Vocabulary.load(self.path / "vocabulary.json")
        except UserError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"a run folder holds readable JSON, got {self.path}: {error}") from error

    def read_resumable(self) -> tuple[TrainConfig, dict[str, Any], Vocabulary]:
        """As `read`; UserError for a run that has no steps to go on with."""
        config, record, vocabulary = self.read()
        if config.family == "ngram":
            raise UserError(f"an n-gram model is estimated in one go: there is nothing to resume in {self.path}")
        return config, record, vocabulary

    def append(self, path: Path, record: dict[str, Any]) -> None:
        """Adds one line of JSON; it is on disk when this returns."""
        if self.writes:
            with path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def cut_back(self, step: int) -> None:
        """Drops the log lines after a step, and those of a closing validation: a resumed run writes them anew."""
        for path in (self.metrics, self.times) if self.writes else ():
            kept = [r for r in read_lines(path) if r["step"] <= step and not r.get("closing")]
            path.write_text("".join(json.dumps(record) + "\n" for record in kept))


def corpus_facts(corpus: Corpus) -> dict[str, Any]:
    """What is recorded of the text of a run."""
    return {
        "source": corpus.source,
        "sha256": corpus.sha256,
        "tokens": {split: len(getattr(corpus, split)) for split in SPLITS},
        "characters": corpus.characters,
        "vocabulary": len(corpus.vocabulary),
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON-lines file; a last line that a crash cut short is left out."""
    records = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def new_folder(run: str | Path | None, name: str, mirror: str | Path | None = None) -> RunFolder:
    """Makes the folder of a new run: the given one, or checkpoints/NAME-1, -2, ..., the first that is not there, nor
    in the mirror.

    Two runs that start at once get two folders. Raises UserError if the given folder has something in it or cannot be
    made.
    """
    if run is not None:
        path = check_new(run)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--run must be a folder that can be made, got {path}: {error.strerror}") from error
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


def check_new(run: str | Path) -> Path:
    """The path of a folder for a new run; raises UserError if it has something in it. Writes nothing."""
    path = Path(run).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--run must be a new or an empty folder, got {run}; to go on with a run: --resume {run}")
    return path


def read_run(run: str | Path) -> tuple[TrainConfig | NGramConfig, dict[str, Any], Vocabulary]:
    """The configuration of a run, the facts recorded beside it (Python, corpus), and its vocabulary."""
    return RunFolder(Path(run)).read()
