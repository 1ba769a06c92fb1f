"""The console of a run whose model is estimated in one go: its stages, its notes, the closing table, a sample."""

import sys
import time

from lm_jax.cli.console import print_closing, print_table
from lm_jax.report.numbers import clock
from lm_jax.runs.results import EstimateResults
from lm_jax.training.listener import Listener


class EstimateConsole(Listener):
    """Prints the events of an estimation."""

    def __init__(self):
        from rich.console import Console

        self.console = Console(highlight=False, soft_wrap=True)
        self._started = time.perf_counter()

    def on_stage(self, stage: str) -> None:
        """Prints what is being done, with the seconds since the beginning, to standard error."""
        print(f"{time.perf_counter() - self._started:6.1f} s  {stage} ...", file=sys.stderr, flush=True)

    def on_end(self, results: EstimateResults) -> None:
        """Prints notes, the closing table, sizes, a sample and the next command."""
        for note in results.notes:
            self.console.print(f"note: {note}", markup=False)
        print_table(self.console, results.closing.table)
        self.console.print(
            f"{results.bytes / 2**20:.1f} MiB; estimated in {clock(results.seconds)}; run {results.run}", markup=False
        )
        print_closing(self.console, results)
