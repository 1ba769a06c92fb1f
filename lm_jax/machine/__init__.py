"""The machine: its memory, the cache of compiled programs, and what a doctor says of it."""

from typing import TYPE_CHECKING

from lm_jax.lazy import lazy_names


if TYPE_CHECKING:
    from lm_jax.machine.compile_cache import compiled_folder, keep_compiled
    from lm_jax.machine.diagnosis import Devices, Diagnosis, Memory, doctor
    from lm_jax.machine.memory import reuse_memory

__all__ = ["Devices", "Diagnosis", "Memory", "compiled_folder", "doctor", "keep_compiled", "reuse_memory"]

_HOMES = {
    "Devices": "lm_jax.machine.diagnosis",
    "Diagnosis": "lm_jax.machine.diagnosis",
    "Memory": "lm_jax.machine.diagnosis",
    "compiled_folder": "lm_jax.machine.compile_cache",
    "doctor": "lm_jax.machine.diagnosis",
    "keep_compiled": "lm_jax.machine.compile_cache",
    "reuse_memory": "lm_jax.machine.memory",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
