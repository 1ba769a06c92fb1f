"""Good states of a run, which it goes back to from trouble: a ring of the newest in memory, checkpoints behind it.

A step that is no number is left out (`recovery`), but after several in a row the weights themselves are past any use:
they have exploded, and are finite still. The run then goes back: parameters, optimiser, carry, averaged weights and the
running loss become those of a good state; the number of the step, the place in the text, the random numbers and the
logs go on, so that the batches since then are not read again (Chowdhery et al. 2022, PaLM, section 5.1, did so by
hand).

    good      a state that was saved at its time by the plan, not amid trouble, with a validation that is no explosion
    the ring  the newest of these. A state that was gone back to is one no more: the next trouble leads to the one
              before, unless a new one was saved meanwhile
    the last  the best of them by validation, and before there is one the state that the run began with: where the
              ring is empty. A spike goes back to none but the ring's; where that is empty it is only reported

The steps of ring and last state are in the history of every checkpoint, their checkpoints stay as long, and none of
this depends on dispatches: a resumed run goes back as one that was never stopped, to states that it reads instead.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from lm_jax.training.history import History
from lm_jax.training.rollback import HeldState
from lm_jax.training.state import TrainState


ReadFn = Callable[[int, TrainState], TrainState | None]
UNDONE = ("params", "opt_state", "carry", "average")
UNDONE_COUNTERS = ("mean", "variance", "seen", "first")


class GoodStates:
    """The good states of a training.

    Args:
        history: of the run, which has their steps.
        most: how many the ring has; each takes the memory of a state on the host.
        read: (step, a state like it) -> the state that was saved after this step, or that the run began with; None
            where it cannot be read.
    """

    def __init__(self, history: History, most: int, read: ReadFn):
        self._history, self._most, self._read = history, most, read
        self._held: dict[int, HeldState] = {}

    def admit(self, step: int, best: bool) -> None:
        """Takes the step of a good state in, before it is saved; best: of all validations."""
        history = self._history
        history.good = [*(one for one in history.good if one != step), step][-self._most :]
        history.last_resort = step if best else history.last_resort

    def hold(self, held: HeldState | None) -> None:
        """Keeps a copy of a state in memory if it is one of those; that of the beginning until there is another."""
        if held is not None:
            self._held[held.step] = held
        wanted = self._history.good or [self._history.last_resort]
        self._held = {step: state for step, state in self._held.items() if step in wanted}

    def go_back(self, state: TrainState, spike: bool) -> tuple[TrainState, int | None]:
        """Returns the state to go on with, and the step of the good one in it; the same state and None without one.

        Args:
            state: the state after the step that gave the trouble.
            spike: whether that was a spike.
        """
        history, found = self._history, None
        if jax.process_count() == 1:  # no process of several has a whole state
            while found is None and history.good:
                *history.good, newest = history.good
                found = self._take(newest, state)
            if found is None and not spike:
                found = self._take(history.last_resort, state)
        assert state.incidents is not None, "only what counts its incidents is due to go back"
        if found is None:
            return dataclasses.replace(state, incidents=_settled(state.incidents)), None
        before: Any = found.incidents
        history.undone += int(state.incidents.seen) - int(before.seen)
        running = {name: getattr(before, name) for name in UNDONE_COUNTERS}
        parts: dict[str, Any] = {name: getattr(found, name) for name in UNDONE}
        incidents = _settled(state.incidents)._replace(**running)
        return dataclasses.replace(state, **parts, incidents=incidents), int(found.step)

    def _take(self, step, like):
        held = self._held.get(step)
        return self._read(step, like) if held is None else held.restore()


def _settled(incidents):
    return incidents._replace(due=jax.numpy.zeros_like(incidents.due))
