"""A report on what a machine offers JAX: versions, devices, memory, speed, and what to do where something is amiss.

Nothing here fails where JAX is missing or does not start: that is what it is asked about.
"""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.machine import cudnn
from lm_jax.machine.advice import PACKAGES, advise, read_signs, version_of
from lm_jax.machine.installation import for_accelerators
from lm_jax.short_repr import shortly_shown


# Seconds after which no further measurement begins: all take about ten on a CPU, half a minute on an accelerator, where
# compiling one takes about ten (an H200 got to the last of them after 14).
LATEST_START, LATEST_START_COMPILING = 7.0, 30.0


class Devices(NamedTuple):
    """The devices that JAX starts: their platform ("cpu", "gpu", "tpu"), the kind of the first, and their number."""

    platform: str
    kind: str
    count: int


class StartFailure(NamedTuple):
    """The error, in one line, with which JAX does not start."""

    error: str


class Memory(NamedTuple):
    """The memory of the host and of the first device, in bytes; None where it is not known."""

    host_total: int | None = None
    host_available: int | None = None
    device_total: int | None = None
    device_used: int | None = None


@shortly_shown
class DoctorReport(NamedTuple):
    """The state of a machine, as far as it matters to JAX.

    versions: of Python and of packages by name, None where one is not installed; on an NVIDIA GPU of CUDA and cuDNN
    too. compile_cache: the folder of compiled programs, None without one. speed: GF/s and tokens a second by name, None
    where a measurement failed or would have begun too late. advice: one line for each thing to mend. install: where
    there is no accelerator, one line for each kind with what it needs.
    """

    versions: dict[str, str | None]
    devices: Devices | StartFailure
    memory: Memory
    compile_cache: str | None
    speed: dict[str, float | None]
    advice: list[str]
    install: list[str]


def doctor(speed: bool = True, on_stage: Callable[[str], None] = lambda stage: None) -> DoctorReport:
    """Examines this machine.

    speed: also measure, for about ten seconds, on an accelerator for half a minute. on_stage: called with each stage as
    it begins.
    """
    on_stage("starting JAX")
    devices = _devices()
    started = isinstance(devices, Devices)
    signs = read_signs(devices.platform, None) if started else read_signs(None, devices.error)
    speeds, failures = _speeds(devices.platform, on_stage) if speed and started else ({}, [])
    versions = {"python": platform.python_version(), "lm_jax": version_of("lm-jax")}
    libraries, warnings = _libraries(devices.platform) if started else ({}, [])
    accelerated = started and devices.platform != "cpu"
    return DoctorReport(
        versions=versions | {name: signs.versions[name] for name in PACKAGES} | libraries,
        devices=devices,
        memory=_memory(started),
        compile_cache=_compile_cache(started),
        speed=speeds,
        advice=[*advise(signs), *warnings, *failures],
        install=[] if accelerated else for_accelerators(platform.python_version(), signs.versions["jax"]),
    )


def _libraries(device: str) -> tuple[dict[str, str | None], list[str]]:
    """Returns the versions of NVIDIA's libraries on a GPU, and a line where one is known to be wrong."""
    found = {"CUDA": cudnn.cuda_version(), "cuDNN": cudnn.cudnn_version()} if device == "gpu" else {}
    if not any(found.values()):  # another make of GPU, or a plugin that does not tell
        return {}, []
    line = cudnn.warning(found["cuDNN"])
    return {name: cudnn.shown(version) if version else None for name, version in found.items()}, [line] if line else []


def _devices() -> Devices | StartFailure:
    """Returns the devices that JAX starts, or its error: of many types, also while it is imported."""
    try:
        import jax

        first = jax.devices()[0]
        return Devices(first.platform, first.device_kind, jax.device_count())
    except Exception as error:
        return StartFailure(_in_one_line(error))


def _in_one_line(error):
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _memory(started):
    total, available = _host_memory()
    stats = _device_stats() if started else {}
    return Memory(total, available, stats.get("bytes_limit"), stats.get("bytes_in_use"))


def _host_memory():
    """Returns (total, available) in bytes, None each where /proc does not say."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        total, available = (1024 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):  # no Linux
        return None, None
    return total, available


def _device_stats():
    import jax

    try:
        return jax.devices()[0].memory_stats() or {}
    except Exception:  # plugins raise what they like where they do not count
        return {}


def _compile_cache(started):
    if not started:
        return os.environ.get("JAX_COMPILATION_CACHE_DIR")
    import jax

    settings: Any = jax.config
    return settings.jax_compilation_cache_dir


def _speeds(platform, on_stage):
    """Returns the speeds by name, and a line for each measurement that failed."""
    from lm_jax.machine.speed import speeds

    start, measured, failures = time.perf_counter(), {}, []
    for name, measure in speeds(accelerator=platform != "cpu"):
        late = time.perf_counter() - start > (LATEST_START if platform == "cpu" else LATEST_START_COMPILING)
        on_stage(f"measuring {name}" if not late else f"out of time for {name}")
        try:
            measured[name] = None if late else measure()
        except Exception as error:  # a device may start and then not compute, for as many reasons
            measured[name] = None
            failures.append(f"{name} could not be measured ({_in_one_line(error)}); restart the runtime")
    return measured, failures
