"""Run folders that take less time than a training step."""

from lm_jax.runs.folder import RunFolder
from lm_jax.runs.setup import set_up
from lm_jax.tasks import task_of
from lm_jax.training.checkpoints import Checkpoints


def untrained(config, folder):
    """A run folder with a first checkpoint: what a comparison needs, without compiling a training step."""
    task = task_of(config)
    setup = set_up(task, config, task.load(config, None), 1)
    run = RunFolder(folder)
    run.create(config, setup.data.vocabulary, {"decay_horizon": 1, "corpus": setup.data.record})
    with Checkpoints(run.states) as states:
        states.save(setup.create(), {}, 1.0)
    (folder / "results.json").write_text('{"seconds": 61.5}')
    return folder
