"""The facts of a machine that matter to JAX: versions, devices, memory, speed, and what to do where something is amiss.

Nothing here fails where JAX is missing or does not start: that is what it is asked about.
"""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lm_jax.machine.advice import PACKAGES, advise, read_signs, version_of


LATEST_START = 7.0  # seconds after which no further measurement begins, so that all of them take about ten


def doctor(speed: bool = True, on_stage: Callable[[str], None] = lambda stage: None) -> dict[str, Any]:
    """Versions, devices, memory (bytes), the compile cache, speeds, and lines of advice; None where there is nothing.

    speed: also measure for about ten seconds. on_stage: told what is being done.
    """
    on_stage("starting JAX")
    devices = _devices()
    signs = read_signs(devices.get("platform"), devices.get("error"))
    speeds, failures = _speeds(devices, on_stage) if speed and "error" not in devices else ({}, [])
    return {
        "versions": {"python": platform.python_version(), "lm_jax": version_of("lm-jax")}
        | {name: signs.versions[name] for name in PACKAGES},
        "devices": devices,
        "memory": _host_memory() | _device_memory(devices),
        "compile_cache": _compile_cache(devices),
        "speed": speeds,
        "advice": [*advise(signs), *failures],
    }


def _devices():
    """What JAX starts, or the error with which it does not: of many types, also while it is imported."""
    try:
        import jax

        first = jax.devices()[0]
        return {"platform": first.platform, "kind": first.device_kind, "count": jax.device_count()}
    except Exception as error:
        return {"error": _in_one_line(error)}


def _in_one_line(error):
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _host_memory():
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        kib = {name: int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
    except (OSError, ValueError, KeyError):  # no Linux
        return {"host_total": None, "host_available": None}
    return {"host_total": 1024 * kib["MemTotal"], "host_available": 1024 * kib["MemAvailable"]}


def _device_memory(devices):
    stats = {}
    if "error" not in devices:
        import jax

        try:
            stats = jax.devices()[0].memory_stats() or {}
        except Exception:  # plugins raise what they like where they do not count
            stats = {}
    return {"device_total": stats.get("bytes_limit"), "device_used": stats.get("bytes_in_use")}


def _compile_cache(devices):
    if "error" in devices:
        return os.environ.get("JAX_COMPILATION_CACHE_DIR")
    import jax

    return jax.config.jax_compilation_cache_dir


def _speeds(devices, on_stage):
    from lm_jax.machine.speed import speeds

    start, found, failures = time.perf_counter(), {}, []
    for name, measure in speeds(accelerator=devices["platform"] != "cpu"):
        late = time.perf_counter() - start > LATEST_START
        on_stage(f"measuring {name}" if not late else f"out of time for {name}")
        try:
            found[name] = None if late else measure()
        except Exception as error:  # a device may start and then not compute, for as many reasons
            found[name] = None
            failures.append(f"{name} could not be measured ({_in_one_line(error)}); restart the runtime")
    return found, failures
