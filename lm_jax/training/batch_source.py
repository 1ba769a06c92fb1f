"""The contract between training and its data: batches as a pure function of the step, made on the device."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Array, Int

from lm_jax.types import Carry, Params


class BatchFn(Protocol):
    """Makes the batch at `start` of an epoch inside the jitted step, and the carry that it begins with."""

    def __call__(
        self, params: Params, epoch: Any, carry: Carry, start: Int[Array, ""], length: int
    ) -> tuple[Carry, Any]: ...


def no_carry(params: Params) -> Carry:
    """Returns the carry of a task whose batches are independent of each other: an empty tuple."""
    del params
    return ()


class BatchSource(NamedTuple):
    """Batches of a run, and the carry that is handed from one to the next.

    Every array of a batch has its rows on axis 1, every array of a carry on axis 0, every array of an epoch on its last
    axis (a single number is that of all rows): so gradients can be accumulated over parts of the rows, and rows shared
    between devices, for any task.

    steps_per_epoch: batches in one pass.
    epoch: number of the pass -> its arrays on the host, a pytree; the loop moves them to the device once.
    batch: see `BatchFn`. `start` is 0 at the first step of an epoch and grows by each batch's length.
    lengths: number of the pass -> the length of each of its batches, int [steps_per_epoch]. Each length compiles once.
    usual_length: the length that the learning rate is meant for; batches of another length scale it. None: it is the
        same for all lengths.
    initial_carry: params -> the carry before the first batch.
    targets_per_epoch: predictions in one pass.
    piece: (number of the pass, place of a batch in it) -> a part of that epoch which has the batch, for `batch` to be
        given in the place of the whole, and the place of the first batch that is not in it. None: epochs are whole.
    """

    steps_per_epoch: int
    epoch: Callable[[int], Any]
    batch: BatchFn
    lengths: Callable[[int], np.ndarray]
    usual_length: int | None
    targets_per_epoch: int
    initial_carry: Callable[[Params], Carry] = no_carry
    piece: Callable[[int, int], tuple[Any, int]] | None = None


def one_a_step(steps_per_epoch: int) -> Callable[[int], np.ndarray]:
    """Makes the `lengths` of a source whose `start` counts batches: each has length 1."""
    return lambda epoch: np.ones(steps_per_epoch, int)
