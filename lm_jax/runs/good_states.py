"""A good state of a run that is not in memory: from its checkpoint, or made anew as the run began with it."""

from pathlib import Path

from lm_jax.errors import UserError
from lm_jax.runs.pretrained import read_pretrained
from lm_jax.runs.setup import Setup, set_up
from lm_jax.training.checkpoints import restore_step
from lm_jax.training.state import TrainState


def read_good_state(setup: Setup, states: Path, step: int, like: TrainState) -> TrainState | None:
    """Returns the state after a step, 0 for that before the first; None where it cannot be had any more.

    Args:
        setup: The setup of the run.
        states: The folder of its checkpoints.
        step: The number of the step.
        like: A state of the run, with the shapes and devices of the one that is read.
    """
    try:
        return _begin(setup) if step == 0 else restore_step(states, like, step)[0]
    except UserError:
        return None


def _begin(setup):
    """The state before the first step; a resumed run has not read what its parameters began with."""
    pretrained = read_pretrained(setup.task, setup.config)
    if pretrained is None:
        return setup.create()
    return set_up(setup.task, setup.config, setup.data, setup.horizon, setup.devices, pretrained).create()
