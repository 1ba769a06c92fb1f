"""The flags of a run in several processes."""

import dataclasses

from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class NetworkArguments:
    """Several processes, on as many machines or on one, that train one run together: each is started alike."""

    coordinator: str | None = None
    """HOST:PORT of process 0. "auto": JAX finds it, and the next two, on Cloud TPU, SLURM, Open MPI, Kubernetes."""
    processes: int | None = None
    """How many processes there are."""
    process_id: int | None = None
    """Which one this is, from 0; number 0 writes the run."""
    heartbeat_timeout: int = 100
    """Seconds without a sign of life after which a process counts as dead, and the others end."""

    def check(self) -> None:
        """Raises UserError for a number of processes without a coordinator."""
        if self.coordinator is None and (self.processes, self.process_id) != (None, None):
            given = f"--processes {self.processes} --process-id {self.process_id}"
            raise UserError(f"processes and their ids must go with --coordinator HOST:PORT, got {given} alone")
