"""Run folders as a command line names them: which there are, and which was meant."""

from pathlib import Path

from lm_jax.errors import UserError, nearest


PARENT = Path("checkpoints")  # where runs lie that nobody gave a folder
CONFIG, SEEDS = "config.json", "seeds.json"
LISTED = 6  # runs that a message names


def is_run(path: Path) -> bool:
    """Says whether a folder is that of a run, or of several seeds."""
    return (path / CONFIG).is_file() or (path / SEEDS).is_file()


def runs_in(folder: Path) -> list[Path]:
    """Returns the folders of runs right below a folder, by name; those of several seeds are one."""
    try:
        return sorted(path for path in folder.iterdir() if is_run(path))
    except OSError:
        return []


def check_run(run: str) -> None:
    """Raises UserError for a folder that is no run, with the runs that there are."""
    path = Path(run).expanduser()
    if is_run(path):
        return
    if not path.exists():
        raise UserError(f"a run must be an existing folder, got {run}{_meant(run)}{known_runs()}")
    inside = f"; runs in it: {_names(runs_in(path))}" if runs_in(path) else known_runs()
    raise UserError(f"a run folder holds config.json and vocabulary.json, got {run} without config.json{inside}")


def known_runs() -> str:
    """Writes which runs lie where runs lie by default."""
    found = runs_in(PARENT)
    return f"; runs in {PARENT}/: {_names(found)}" if found else f"; there are no runs in {PARENT}/"


def _meant(run):
    near = nearest(Path(run).name, [path.name for path in runs_in(PARENT)])
    return f"; did you mean {PARENT}/{near}?" if near else ""


def _names(paths):
    names = ", ".join(path.name for path in paths[:LISTED])
    return names if len(paths) <= LISTED else f"{names} and {len(paths) - LISTED} more (lm-jax runs)"
