"""Training that pauses at stages, where a study measures the model."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.harness.runs import epoch_streams
from lm_jax.runs.setup import Setup
from lm_jax.training import Checkpoints
from lm_jax.types import Params


def states(
    setup: Setup, stages: Sequence[int], folder: Path | None = None, save_every: int | None = None
) -> Iterator[tuple[int, Params]]:
    """Yields (stage, parameters) as training comes to each number of steps.

    The parameters last until the next stage is asked for: a step takes the state over. With `save_every`, states are
    saved in the folder after so many steps, and it goes on from the newest.
    """
    state, epoch = setup.create(), None
    with Checkpoints(folder) if save_every else contextlib.nullcontext() as saved:
        if save_every and saved.steps:
            state, _ = saved.restore_newest(state)
        step, per_epoch = int(state.step), setup.batches.steps_per_epoch
        for stage in (stage for stage in stages if stage >= step):
            while step < stage:
                if epoch != step // per_epoch:
                    epoch = step // per_epoch
                    streams = epoch_streams(setup.batches, epoch)
                stops = [stage - step, *(every - step % every for every in (per_epoch, save_every) if every)]
                state = setup.train_steps(state, streams, min(stops))
                step = int(state.step)
                if save_every and step % save_every == 0:
                    saved.save(state, {}, None)
            yield stage, state.params
