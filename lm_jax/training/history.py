"""Memory of a run from validation to validation; JSON in every checkpoint."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass
class History:
    """Losses of the validations so far, the best of them, and how many since then missed it; and what a run may go back
    to (`good_states`)."""

    best_valid_loss: float | None = None
    best_step: int | None = None
    misses: int = 0  # validations in a row without improvement
    finished: bool = False  # patience ran out
    valid_losses: list[float] = dataclasses.field(default_factory=list)
    good: list[int] = dataclasses.field(default_factory=list)  # steps of the ring, the newest last
    last_resort: int = 0  # the step of the state behind them
    undone: int = 0  # steps that were applied and then gone back from
    unvalidated: bool = False  # the validation that the step is due was broken off

    def to_record(self) -> dict[str, Any]:
        """Returns the fields as JSON; a loss that is no number is a word, which JSON has no number for."""
        return {**vars(self), "valid_losses": [x if math.isfinite(x) else str(x) for x in self.valid_losses]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "History":
        """Makes what `to_record` returned, or an earlier version, which wrote inf and nan as they are, and no good
        states."""
        last = {"last_resort": record.get("best_step") or 0}
        return cls(**{**last, **record, "valid_losses": [float(x) for x in record.get("valid_losses", ())]})

    def note(self, step: int, valid_loss: float) -> bool:
        """Takes a validation in; True if it is the best so far."""
        self.valid_losses.append(valid_loss)
        if math.isfinite(valid_loss) and (self.best_valid_loss is None or valid_loss < self.best_valid_loss):
            self.best_valid_loss, self.best_step, self.misses = valid_loss, step, 0
            return True
        self.misses += 1
        return False
