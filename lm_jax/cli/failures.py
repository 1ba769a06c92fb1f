"""Failures of the machine below the program, each as one line: JAX that does not start, and memory that is used up."""

import os
import sys
from pathlib import Path


SPELLED = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")  # by XLA, of a device and of the host
PLATFORMS = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
LOWER = {
    True: "lower --batch-size, --bptt (or --max-length) or --hidden-size, or raise --accumulate",
    False: "give it a shorter text or a smaller run, or free memory",
}


def start_failure() -> str | None:
    """Says why JAX does not start; None where it does, or where nobody has asked for it.

    What it raises has many types: of a platform that is not there RuntimeError, without its plugin AssertionError.
    """
    jax = sys.modules.get("jax")
    if jax is None or not hasattr(jax, "devices"):
        return None
    try:
        jax.devices()
    except Exception as error:
        named = "".join(f" ({name}={os.environ[name]})" for name in PLATFORMS if os.environ.get(name))
        reason = str(error).splitlines()[0] if str(error) else "the platform cannot be used"
        return f"JAX must start: {reason}{named}; what to do: lm-jax doctor"
    return None


def setting_failure(error: BaseException) -> str | None:
    """Says that JAX does not know the value of one of its own variables, which it reads while it is imported; None of
    any other error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = () if trace is None else Path(trace.tb_frame.f_code.co_filename).parts[-3:]
    found = isinstance(error, ValueError) and place == ("jax", "_src", "config.py")
    return f"JAX must know the values of its variables, got: {' '.join(str(error).split())}" if found else None


def home_failure(error: Exception) -> str | None:
    """Says that ~ stands for nothing, of a user without a home; None of any other error."""
    found = isinstance(error, RuntimeError) and "home directory" in str(error)
    return f"a path that begins with ~ needs a home folder, got: {error}" if found else None


def memory_failure(error: BaseException, training: bool) -> str | None:
    """Says what to lower where an error is about memory, of the host or of a device; None of any other error.

    training: whether the command trains.
    """
    while not isinstance(error, MemoryError) and not any(words in str(error) for words in SPELLED):
        cause = error.__cause__ or error.__context__
        if cause is None:
            return None
        error = cause
    reason = next((line for line in str(error).splitlines() if any(words in line for words in SPELLED)), "no more")
    return f"the machine must have the memory that the command needs, got {reason[:160]}; {LOWER[training]}"
