"""A copy of a run on another file system, such as a mounted Drive, made in the background while the run trains.

The run itself stays on the local disk. After every checkpoint a thread copies what is new to FOLDER/NAME: files and
steps under a temporary name, then renamed; steps that the run no longer keeps go last. So the copy is at every moment
a run folder that can be resumed: it has the logs of all its steps, and each of its steps is whole.
"""

import contextlib
import dataclasses
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from lm_jax.config import to_dict
from lm_jax.errors import UserError
from lm_jax.files import PART
from lm_jax.report.commands import shell_path
from lm_jax.runs.copies import (
    WAITING,
    copy_back,
    copy_changes,
    copy_record,
    drop_leftovers,
    has_step,
    link,
    recorded,
    whole_steps,
)
from lm_jax.runs.folder import DEFAULT_PARENT, RunFolder, check_new
from lm_jax.runs.open import open_run
from lm_jax.training.checksums import records_of
from lm_jax.training.saved_steps import COPYING


def check_mirror(mirror: str | Path) -> Path:
    """The path of a folder of mirrors; made if only its last part is missing.

    Raises UserError if nothing can be written there. A missing parent is refused too: it is what a Drive looks like
    that is not mounted, and a folder made in its place would be lost with the machine.
    """
    path = _whole_path(mirror)
    if not path.parent.is_dir():
        raise _refused(f"a folder in one that exists (is the drive mounted?), got {mirror}")
    try:
        path.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"a mirror")
    except OSError as error:
        raise _refused(f"a folder that can be written to, got {mirror}: {error.strerror}") from error
    return path


def _whole_path(mirror):
    if not str(mirror):  # a variable that is not set: as a path it would be the current folder, gone with the machine
        raise _refused("a folder, got ''")
    return Path(mirror).expanduser().resolve()


def _refused(rest):
    return UserError(f"mirror must be {rest}", ["mirror"])


def check_place(run: str | Path, mirror: str | Path) -> Path:
    """The folder that a run is mirrored to; raises UserError if that is the run folder itself or within it."""
    run, place = Path(run).expanduser().resolve(), _whole_path(mirror)
    if place == run.parent or run in (place, *place.parents):
        raise _refused(f"another folder than the one that the run lies in, got {mirror} for {run}")
    return check_mirror(mirror) / run.name


def check_free(run: str | Path | None, mirror: str | Path) -> None:
    """Raises UserError if a new run cannot be mirrored, because there is a mirror of its name (None: not named yet)."""
    target = check_place(DEFAULT_PARENT / "new" if run is None else run, mirror)
    if run is not None and target.exists() and not _is_empty(target):
        raise UserError(
            f"a new run needs a name that no copy has yet, got {target}; "
            f"to continue that run: resume {shell_path(target)} with mirror {shell_path(mirror)}",
            ("resume", "mirror"),
        )


def check_same_run(folder: RunFolder, target: Path, changeable: tuple[str, ...]) -> None:
    """Checks that a folder may become the mirror of a run.

    Args:
        folder: The run.
        target: The folder to be mirrored to.
        changeable: Settings that may differ.

    Raises:
        UserError: If it is another run, or has gone on further than this one.
    """
    other = RunFolder(target)
    if not target.exists() or _is_empty(target) or _is_begun(target, folder.path):
        return
    if _identity(other, changeable) != _identity(folder, changeable):
        raise UserError(f"a run is mirrored to a copy of itself, got another run in {target}")
    ahead = max(whole_steps(other.states), default=0)
    if ahead > max(whole_steps(folder.states), default=0):
        raise UserError(f"a mirror must not be ahead of its run, got step {ahead} in {target}; resume that")


def _identity(folder, changeable):
    """What two copies of one run have in common."""
    run = open_run(folder.path)
    settings = _without(to_dict(run.config), changeable)
    vocabulary = None if run.vocabulary is None else run.vocabulary.sha256
    return settings, run.record["corpus"].get("sha256"), run.record.get("decay_horizon"), vocabulary


def _without(settings, names):
    """Nested settings without those of some names."""
    return {
        name: _without(value, names) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in names or isinstance(value, dict)
    }


def home_of(run: Path, into: str | Path | None, mirror: str | Path | None) -> Path:
    """Says where a resumed run goes on.

    That is the new folder `into`; for a run that lies in the mirror checkpoints/NAME; for any other its own folder.

    Args:
        run: The folder of the run.
        into: A new folder; None for none.
        mirror: The folder of its copies; None for none.

    Raises:
        UserError: For a folder in use, and for a mirror that cannot be written to.
    """
    path = run.resolve()
    if mirror is not None and check_mirror(mirror) == path.parent and into is None:
        into = DEFAULT_PARENT / path.name
    return run if into is None else check_new(into)


def move_home(folder: RunFolder, home: Path, mirror: str | Path | None, changeable: tuple[str, ...]) -> RunFolder:
    """Moves a resumed run to the folder that it continues in, with all that it has so far.

    Args:
        folder: The folder of the run.
        home: Where it continues, as `home_of` says.
        mirror: The folder of its copies; None for none.
        changeable: Settings that may differ between run and mirror.

    Raises:
        UserError: For a mirror that is another run or is ahead of this one.
    """
    if mirror is not None:
        check_same_run(folder, check_place(home, mirror), changeable)
    if home == folder.path:
        drop_leftovers(home)
    else:
        copy_back(folder.path, home)
    return RunFolder(home)


@contextlib.contextmanager
def mirrored(run: Path, mirror: str | Path | None) -> Iterator[Callable[[], None]]:
    """Mirrors a run while the block runs; yields what to call after every checkpoint, which only takes note.

    At the end, after errors too, waits for a last copy. A copy that fails is a warning and tried again next time.
    """
    if mirror is None:
        yield lambda: None
        return
    copier = Mirror(Path(run).resolve(), check_place(run, mirror))
    try:
        yield copier.note
    except Exception:
        copier.close()
        raise
    copier.close()  # not after a second Ctrl-C, which waits for nothing


@dataclasses.dataclass
class Mirror:
    """The thread that copies, and what waits to be copied."""

    source: Path
    target: Path

    def __post_init__(self):
        self._waiting = self.source / WAITING
        self._forget_waiting()
        here, there = self.source / "states", self.target / "states"
        self._noted = {step: recorded(here, step) for step in whole_steps(here) if has_step(there, here, step)}
        self._seen: dict[str, tuple[int, int]] = {}
        self._failure: OSError | None = None
        self._wake, self._copying, self._closing = threading.Event(), threading.Lock(), False
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
        self.note()
        self._thread.start()

    def note(self) -> None:
        """Takes note of the run's new steps, by hard links, and wakes the thread."""
        try:
            for step in whole_steps(self.source / "states"):
                record = recorded(self.source / "states", step)
                if self._noted.get(step) == record:
                    continue
                linked = self._waiting / f"{step}{COPYING}"
                shutil.rmtree(linked, ignore_errors=True)
                shutil.copytree(self.source / "states" / str(step), linked, copy_function=link)
                copy_record(self.source / "states", self._waiting, step)
                if (self._waiting / str(step)).exists():  # an earlier save of it, which may just be copied
                    with self._copying:
                        shutil.rmtree(self._waiting / str(step), ignore_errors=True)
                linked.rename(self._waiting / str(step))
                self._noted[step] = record
        except OSError as error:
            self._failure = error
        self._warn()
        self._wake.set()

    def close(self) -> None:
        """Waits for a last copy of everything."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._warn()
        self._forget_waiting()

    def _forget_waiting(self):
        for folder in (self._waiting, records_of(self._waiting)):
            shutil.rmtree(folder, ignore_errors=True)

    def _work(self):
        closing = False
        while not closing:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing
            try:
                with self._copying:
                    copy_changes(self.source, self._waiting, self.target, self._seen)
            except OSError as error:
                self._failure = error

    def _warn(self):
        failure, self._failure = self._failure, None
        if failure is not None:
            warnings.warn(f"the mirror {self.target} could not be brought up to date: {failure}", stacklevel=3)


def _is_begun(target, run):
    """Whether a folder has no more than what a first copy of a run leaves that was killed: it has no settings yet."""
    if (target / "config.json").exists() or whole_steps(target / "states"):
        return False
    names = [path.name for path in target.iterdir()]
    return all(name.endswith((PART, COPYING)) or name == "states" or (run / name).exists() for name in names)


def _is_empty(path):
    return path.is_dir() and not any(path.iterdir())
