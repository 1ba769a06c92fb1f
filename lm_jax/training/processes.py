"""One run in several processes, each with devices of its own: how they connect, and the values that they share.

All of them run the same program on the same steps. What depends on the clock, on a signal or on a file must
therefore be the same for all: it is asked of one process, or of all, here.
"""

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lm_jax.errors import UserError, check_sizes


MESSAGE_BYTES = 4096
_SETTINGS = ("coordinator", "processes", "process_id")


def connect(
    coordinator: str = "auto",
    processes: int | None = None,
    process_id: int | None = None,
    heartbeat_timeout: int = 100,
) -> None:
    """Makes this process one of several, before anything else uses JAX.

    The devices are then those of all processes.

    Args:
        coordinator: HOST:PORT of process 0, as all processes reach it. "auto": JAX finds it and the next two by itself
            on Cloud TPU, under SLURM, Open MPI and Kubernetes.
        processes: number of processes.
        process_id: number of this process, from 0.
        heartbeat_timeout: seconds without a sign of life after which a process counts as dead, and the others end.

    Raises:
        UserError: for arguments that do not go together, and if the connection fails.
    """
    found: dict[str, Any] = _check(coordinator, processes, process_id, heartbeat_timeout)
    try:
        jax.distributed.initialize(**found, heartbeat_timeout_seconds=heartbeat_timeout)
    except (RuntimeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"coordinator must be HOST:PORT of process 0 as all processes reach it, or auto on Cloud TPU, SLURM, "
            f"Open MPI or Kubernetes, got {coordinator}: {reason}",
            ["coordinator"],
        ) from error


def _check(coordinator, processes, process_id, heartbeat_timeout):
    """The arguments of JAX's initialisation."""
    check_sizes(heartbeat_timeout=heartbeat_timeout)
    if coordinator == "auto":
        if (processes, process_id) != (None, None):
            got = f"{processes} and {process_id}"
            raise UserError(f"processes and process_id are found by coordinator auto, got {got}", _SETTINGS)
        return {}
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"coordinator must be HOST:PORT or auto, got {coordinator!r}", ["coordinator"])
    if processes is None or process_id is None:
        got = f"{processes} and {process_id}"
        raise UserError(f"coordinator must go with processes and process_id, got {got}", _SETTINGS)
    check_sizes(processes=processes)
    if not 0 <= process_id < processes:
        raise UserError(f"process_id must be from 0 to {processes - 1}, got {process_id}", ["process_id"])
    found = {"coordinator_address": coordinator, "num_processes": processes, "process_id": process_id}
    return found | {"cluster_detection_method": "deactivate"}


def is_first() -> bool:
    """Whether this process is the one that writes: number 0, or the only one."""
    return jax.process_index() == 0


def smallest(number: int) -> int:
    """The smallest of the numbers that the processes come with."""
    if jax.process_count() == 1:
        return number
    from jax.experimental.multihost_utils import process_allgather

    return int(process_allgather(np.int32(number)).min())


def on_first(function: Callable[[], Any]) -> Any:
    """The result of a function on process 0, of JSON types; a UserError there is one everywhere."""
    if jax.process_count() == 1:
        return function()
    answer = {}
    if is_first():
        try:
            answer = {"value": function()}
        except UserError as error:
            answer = {"error": str(error), "settings": error.settings}
    answer = _broadcast(answer)
    if "error" in answer:
        raise UserError(answer["error"], answer["settings"])
    return answer["value"]


def _broadcast(answer):
    from jax.experimental.multihost_utils import broadcast_one_to_all

    encoded = json.dumps(answer).encode().ljust(MESSAGE_BYTES)
    return json.loads(np.asarray(broadcast_one_to_all(np.frombuffer(encoded, np.uint8))).tobytes())
