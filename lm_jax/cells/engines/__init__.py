"""Engines: how the steps of a recurrence are computed, whatever the cell, and the choice between them."""

from lm_jax.cells.engines.early_end import real_steps, scan_first
from lm_jax.cells.engines.fused import FusedParts, fused_scan, over_rows
from lm_jax.cells.engines.generic_parts import cell_parts
from lm_jax.cells.engines.selection import engine, with_recurrence


__all__ = [
    "FusedParts",
    "cell_parts",
    "engine",
    "fused_scan",
    "over_rows",
    "real_steps",
    "scan_first",
    "with_recurrence",
]
