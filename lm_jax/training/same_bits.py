"""What makes a compiled training step give the same bits each time: nothing on a CPU, one option of XLA's on a GPU.

There, sums over repeated indices, such as the gradient of an embedding, are atomic additions by default, whose order
is that in which threads come: on an H200 a run that was stopped and resumed had other weights after 20 steps. With the
option XLA sorts the indices first, and they were the same. A step on 33,278 words then took 6.7 ms instead of 6.3
(experiments/results/accelerator/nvidia-h200.json).
"""

import jax


WITHOUT_ATOMICS = {"xla_gpu_exclude_nondeterministic_ops": True}


def same_bits_options() -> dict[str, bool] | None:
    """Returns the `compiler_options` of `jax.jit` for the device that JAX computes on; None where it needs none."""
    return WITHOUT_ATOMICS if jax.default_backend() == "gpu" else None
