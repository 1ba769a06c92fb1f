"""The engine that was measured to be fastest, by device, cell and shape: gradients of one layer in float32.

Written by `python experiments/accelerator.py --write-table`, not to be edited: for accelerators from the records in
experiments/results/accelerator/, for the CPU from benchmarks/speed/speed.json beside it (two layers each there).
A device that is not here was not measured.
"""

from lm_jax.cells.engines.measurement import Measured


MEASURED: dict[str, tuple[Measured, ...]] = {
    "cpu": (
        Measured("gru", 20, 35, 200, "fused"),
        Measured("gru", 20, 35, 650, "fused"),
        Measured("lstm", 20, 35, 200, "fused"),
        Measured("lstm", 20, 35, 650, "fused"),
        Measured("lstm", 64, 128, 512, "fused"),
        Measured("rnn", 20, 35, 200, "fused"),
        Measured("rnn", 20, 35, 650, "fused"),
    ),
    "NVIDIA H200": (
        Measured("gru", 16, 1024, 768, "fused"),
        Measured("gru", 20, 35, 650, "fused"),
        Measured("gru", 64, 512, 1024, "fused"),
        Measured("lstm", 16, 1024, 768, "fused"),
        Measured("lstm", 20, 35, 650, "fused"),
        Measured("lstm", 64, 512, 1024, "fused"),
    ),
}
