"""What of a machine matters to JAX: versions, devices, memory, speed, and what to do where something is amiss.

Nothing here fails where JAX is missing or does not start: that is what it is asked about.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from lm_jax.machine.advice import PACKAGES, advise, read_signs, version_of


LATEST_START = 7.0  # seconds after which no further measurement begins, so that all of them take about ten


class Devices(NamedTuple):
    """The devices that JAX starts.

    platform: "cpu", "gpu" or "tpu". kind: the name of the first one. count: how many. error: why there are none; None
    where there are some, and then only are platform and kind given.
    """

    platform: str | None = None
    kind: str | None = None
    count: int = 0
    error: str | None = None


class Memory(NamedTuple):
    """The memory of a machine and of its first device, in bytes; None for what is not known."""

    host_total: int | None = None
    host_available: int | None = None
    device_total: int | None = None
    device_used: int | None = None


class Diagnosis(NamedTuple):
    """The state of a machine.

    versions: of Python, this package and those that it needs, None for a missing one. compile_cache: the folder of
    compiled programs, None for no such folder. speed: rates by the names of `lm_jax.machine.speed.speeds`, None for
    what could not be measured; empty where nothing was. advice: a line for each thing to mend.
    """

    versions: Mapping[str, str | None]
    devices: Devices
    memory: Memory
    compile_cache: str | None
    speed: Mapping[str, float | None]
    advice: tuple[str, ...]


def doctor(speed: bool = True, on_stage: Callable[[str], None] = lambda stage: None) -> Diagnosis:
    """Examines this machine: versions, devices, memory, the cache of compiled programs, speeds, and what to do.

    speed: also measure for about ten seconds. on_stage: told what is being done.
    """
    on_stage("starting JAX")
    devices = _devices()
    signs = read_signs(devices.platform, devices.error)
    speeds, failures = _speeds(devices, on_stage) if speed and devices.error is None else ({}, [])
    return Diagnosis(
        versions={"python": platform.python_version(), "lm_jax": version_of("lm-jax")}
        | {name: signs.versions[name] for name in PACKAGES},
        devices=devices,
        memory=_memory(devices),
        compile_cache=_compile_cache(devices),
        speed=speeds,
        advice=(*advise(signs), *failures),
    )


def _devices():
    """What JAX starts, or the error with which it does not: of many types, also while it is imported."""
    try:
        import jax

        first = jax.devices()[0]
        return Devices(first.platform, first.device_kind, jax.device_count())
    except Exception as error:
        return Devices(error=_in_one_line(error))


def _in_one_line(error):
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _memory(devices):
    stats = _device_stats(devices)
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        total, available = (1024 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):  # no Linux
        total, available = None, None
    return Memory(total, available, stats.get("bytes_limit"), stats.get("bytes_in_use"))


def _device_stats(devices):
    if devices.error is not None:
        return {}
    import jax

    try:
        return jax.devices()[0].memory_stats() or {}
    except Exception:  # plugins raise what they like where they do not count
        return {}


def _compile_cache(devices):
    if devices.error is not None:
        return os.environ.get("JAX_COMPILATION_CACHE_DIR")
    import jax

    return jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]: made when JAX starts


def _speeds(devices, on_stage):
    from lm_jax.machine.speed import speeds

    start, found, failures = time.perf_counter(), {}, []
    for name, measure in speeds(accelerator=devices.platform != "cpu"):
        late = time.perf_counter() - start > LATEST_START
        on_stage(f"measuring {name}" if not late else f"out of time for {name}")
        try:
            found[name] = None if late else measure()
        except Exception as error:  # a device may start and then not compute, for as many reasons
            found[name] = None
            failures.append(f"{name} could not be measured ({_in_one_line(error)}); restart the runtime")
    return found, failures
