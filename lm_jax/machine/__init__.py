"""The machine: its memory, the cache of compiled programs, and a report on its state."""

from typing import TYPE_CHECKING

from lm_jax.lazy import lazy_names


if TYPE_CHECKING:
    from lm_jax.machine.compile_cache import compiled_folder, keep_compiled
    from lm_jax.machine.diagnosis import Devices, DoctorReport, Memory, StartFailure, doctor
    from lm_jax.machine.memory import reuse_memory

__all__ = [
    "Devices",
    "DoctorReport",
    "Memory",
    "StartFailure",
    "compiled_folder",
    "doctor",
    "keep_compiled",
    "reuse_memory",
]

_HOMES = {
    "Devices": "lm_jax.machine.diagnosis",
    "DoctorReport": "lm_jax.machine.diagnosis",
    "Memory": "lm_jax.machine.diagnosis",
    "StartFailure": "lm_jax.machine.diagnosis",
    "compiled_folder": "lm_jax.machine.compile_cache",
    "doctor": "lm_jax.machine.diagnosis",
    "keep_compiled": "lm_jax.machine.compile_cache",
    "reuse_memory": "lm_jax.machine.memory",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
