"""The machine that a study ran on, for its record."""

import os
import platform
import sys
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Processor, cores that the process may use, system, how busy it is, and JAX's device if JAX was used."""
    found = {"system": platform.system(), "processor": processor(), "cores": cores()}
    if "jax" in sys.modules:
        import jax

        found["device"] = jax.devices()[0].device_kind
    return {**found, "load_at_end": os.getloadavg()[0]}


def in_words() -> str:
    """Processor, cores that the process may use, and JAX's device where that is another one."""
    found, count = describe(), cores()
    words = [found["processor"], f"{count} core{'' if count == 1 else 's'}"]
    device = found.get("device", "cpu")
    return ", ".join([*words, *([] if device == "cpu" else [device])])


def cores() -> int | None:
    """The number of cores that this process may use: fewer than the machine has where it is pinned."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def processor() -> str:
    """The name of the processor, as Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
