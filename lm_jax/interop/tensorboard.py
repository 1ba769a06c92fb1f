"""Event files of TensorBoard, by the tensorboardX library (extra `tensorboard`)."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_jax.errors import needing_extra
from lm_jax.training.listener import Start
from lm_jax.training.scalars import ScalarListener


FOLDER = "tensorboard"  # in the folder of the run


class TensorBoardListener(ScalarListener):
    """Writes the numbers of a training to RUN/tensorboard/, for `tensorboard --logdir checkpoints`.

    A run that is resumed begins a file of its own there, by which TensorBoard drops what came after the checkpoint.

    Raises:
        UserError: Where the extra `tensorboard` is missing.
    """

    def __init__(self) -> None:
        self._open = _library().SummaryWriter
        self._writer: Any = None
        super().__init__(self._add)

    def on_start(self, start: Start) -> None:
        """Opens a file of events."""
        super().on_start(start)
        folder = Path(start.run) / FOLDER
        purge = start.first_step + 1 if start.first_step else None
        # the library names a file by the second: one of a run that goes on within it would take the place of the other
        self._writer = self._open(str(folder), purge_step=purge, filename_suffix=f".{time.time_ns()}")

    def on_end(self, results: Any) -> None:
        """Closes the file."""
        self.close()

    def close(self) -> None:
        """Closes the file, also of a training that failed."""
        if self._writer is not None:
            self._writer.close()

    def _add(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()


def _library():
    with needing_extra("tensorboard", "event files of TensorBoard need"):
        import tensorboardX
    return tensorboardX
