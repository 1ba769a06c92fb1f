"""What to do about a run that has diverged: the command that goes on from before it, under another learning rate."""

import contextlib
from collections.abc import Iterator

from lm_jax.report.commands import shell_path
from lm_jax.runs.folder import RunFolder
from lm_jax.runs.setup import Setup
from lm_jax.training.divergence import Diverged
from lm_jax.training.saved_steps import find_steps, rank_steps


LOWER = 0.3  # share of the learning rate that is proposed
_SETTINGS = ("resume", "from_step", "learning_rate", "run")


@contextlib.contextmanager
def advising(setup: Setup, folder: RunFolder) -> Iterator[None]:
    """Adds to a divergence the command that begins a new run from the best checkpoint, if there is one: the newest may
    be of numbers that are finite and of no use."""
    try:
        yield
    except Diverged as error:
        steps = rank_steps([saved for saved in find_steps(folder.states) if saved.damage is None])
        if not steps:
            raise
        given = setup.config.optimizer.learning_rate
        assert given is not None, "a run's settings are complete: the defaults of its text are filled in before"
        rate = f"{given * LOWER:.3g}"
        run, new = shell_path(folder.path), shell_path(f"{folder.path}-again")
        command = f"lm-jax {setup.task.command} resume={run} from_step={steps[0].step} learning_rate={rate} run={new}"
        raise Diverged(f"{error}; from before it: {command}", (*error.settings, *_SETTINGS)) from error
