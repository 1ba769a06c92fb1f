"""The flags of a run in several processes."""

import dataclasses
from typing import Any

from lm_jax.config import setting
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class NetworkArguments:
    """Several processes, on as many machines or on one, that train one run together: each is started alike."""

    coordinator: str | None = setting(
        None,
        "Address of process 0; with auto, JAX finds it and the next two (on Cloud TPU, SLURM, Open MPI, Kubernetes).",
        metavar="HOST:PORT",
        group="devices",
    )
    processes: int | None = setting(None, "Number of processes.", group="devices")
    process_id: int | None = setting(None, "Number of this process, from 0; number 0 writes the run.", group="devices")
    heartbeat_timeout: int = setting(
        100, "Seconds without a sign of life after which a process counts as dead, and the others end.", group="devices"
    )

    def network(self) -> dict[str, Any]:
        """Returns what JAX needs to know of the processes."""
        names = (field.name for field in dataclasses.fields(NetworkArguments))
        return {name: getattr(self, name) for name in names}

    def check(self) -> None:
        """Raises UserError for a number of processes without a coordinator."""
        if self.coordinator is None and (self.processes, self.process_id) != (None, None):
            flags = {"--processes": self.processes, "--process-id": self.process_id}
            given = " ".join(f"{flag} {value}" for flag, value in flags.items() if value is not None)
            raise UserError(f"processes and their ids must go with --coordinator HOST:PORT, got {given} alone")
