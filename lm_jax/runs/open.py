"""The only reader of a run folder: its settings, its record and its vocabulary."""

import errno
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lm_jax.config import read_record
from lm_jax.errors import UserError
from lm_jax.runs.folder import SEEDS, RunFolder
from lm_jax.runs.kept_text import with_kept_text
from lm_jax.runs.links import check_links
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks import TASKS, Task
from lm_jax.training.saved_steps import find_steps, load_step
from lm_jax.types import Params


MACHINES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)  # faults of a machine, not of a folder


@shortly_shown
class OpenedRun(NamedTuple):
    """A run folder as it was read.

    config: the settings. record: what else config.json holds, such as "corpus". vocabulary: None where there is none.
    """

    path: Path
    config: Any
    record: dict[str, Any]
    vocabulary: Any

    @property
    def task(self) -> Task:
        """The task that the run trained."""
        return TASKS[self.config.task]

    def load(self) -> tuple[Any, Params]:
        """Returns the model and the parameters of its best step, on one device, whatever it was trained on.

        Raises UserError for a run that has no checkpoint yet.
        """
        folder, task = RunFolder(self.path), self.task
        model = task.model(task.for_any_machine(self.config), self.vocabulary)
        if task.estimation is not None:
            return model, task.estimation.read(self.path / task.estimation.file, self.vocabulary)
        if not find_steps(folder.states):
            raise UserError(f"a run can be loaded once it has a checkpoint, got {self.path} without one")
        loaded = load_step(folder.states, jax.eval_shape(model.init, jax.random.key(0)))
        self.check_vocabulary(loaded.host)
        return model, loaded.params

    def check_vocabulary(self, host: dict[str, Any]) -> None:
        """Raises UserError if a checkpoint was made with another vocabulary; host: what was saved with it."""
        sha256 = host.get("vocabulary")
        if sha256 is not None and self.vocabulary is not None and sha256 != self.vocabulary.sha256:
            got = f"sha256 {self.vocabulary.sha256[:12]}... instead of {str(sha256)[:12]}... in {self.path}"
            raise UserError(f"a run must have the vocabulary that its checkpoints were made with, got {got}")


def open_run(run: str | Path) -> OpenedRun:
    """Reads a run folder; raises UserError if it is none."""
    path = Path(run).expanduser()
    folder = RunFolder(path)
    if (path / SEEDS).is_file():
        raise UserError(f"a run of several seeds has a folder for each, seed-N; choose one, got {path}")
    if not folder.config.is_file():
        raise UserError(f"a run folder holds config.json and vocabulary.json, got {path} without config.json")
    check_links(path)
    try:
        config, record = read_record(folder.config, {name: task.config for name, task in TASKS.items()})
        config.check()
        if not isinstance(record.get("corpus"), dict):
            raise UserError(f"a run's config.json has the record of its corpus, got {path} without them")
        task = TASKS[config.task]
        return OpenedRun(path, with_kept_text(task, config, path), record, _vocabulary(folder, task))
    except UserError:
        raise
    except OSError as error:
        if error.errno in MACHINES:
            raise
        raise UserError(f"a run folder holds readable JSON, got {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        reason = f"without {error}" if isinstance(error, KeyError) else error
        raise UserError(f"a run folder holds readable JSON, got {path}: {reason}") from error


def _vocabulary(folder, task):
    if task.read_vocabulary is None:
        return None
    if not folder.vocabulary.is_file():
        raise UserError(
            f"a run folder holds config.json and vocabulary.json, got {folder.path} without vocabulary.json"
        )
    return task.read_vocabulary(folder.vocabulary)
