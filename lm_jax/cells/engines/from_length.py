"""From how many steps on the engines of recurrences that are linear in time are faster than the loop, by device: what
`recurrence="auto"` reads of their cells.

    FASTER_FROM[backend][engine]     the number of steps; None: not at any length measured, up to 16,384

Measured by experiments/recurrences/length.py (gradients, layers of 64 units, 1 and 8 rows), which says whether this
table agrees with what it finds. On a backend that is not in the table nothing was measured: `EXPECTED` stands there for
what the engines are made for. What is fastest for RNN, GRU and LSTM is in measured.py.
"""

from collections.abc import Mapping

import jax


FASTER_FROM: dict[str, dict[str, int | None]] = {
    "cpu": {"associative": None, "chunkwise": 2},
}
EXPECTED: Mapping[str, int | None] = {"associative": 256, "chunkwise": 2}


def faster_from(engine: str, backend: str | None = None) -> int | None:
    """Returns from how many steps on an engine is faster than the loop on a backend, JAX's own if none is named.

    Args:
        engine: "associative" or "chunkwise".
        backend: As `jax.default_backend` names it.

    Returns:
        The number of steps; None for an engine that is slower at every length.
    """
    return FASTER_FROM.get(jax.default_backend() if backend is None else backend, EXPECTED)[engine]


def is_faster(engine: str, steps: int) -> bool:
    """Says whether an engine is faster than the loop for so many steps on this machine."""
    first = faster_from(engine)
    return first is not None and steps >= first
