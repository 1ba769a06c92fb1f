"""The console of a run whose model is estimated without steps: its stages, its notes, the closing table, a sample."""

import sys
import time

from lm_jax.cli.console import print_closing
from lm_jax.cli.screen import make_console, print_line
from lm_jax.cli.tables import print_table
from lm_jax.report.numbers import clock
from lm_jax.runs.results import EstimateResults
from lm_jax.training.listener import Listener


class EstimateConsole(Listener):
    """Prints the events of an estimation."""

    def __init__(self):
        self.console = make_console()
        self._started = time.perf_counter()

    def on_stage(self, stage: str) -> None:
        """Prints what is being done, with the seconds since the beginning, to standard error."""
        print(f"{time.perf_counter() - self._started:6.1f} s  {stage} ...", file=sys.stderr, flush=True)

    def on_end(self, results: EstimateResults) -> None:
        """Prints notes, the closing table, sizes, a sample and the next command."""
        for note in results.notes:
            print_line(self.console, f"note: {note}")
        print_table(self.console, results.closing.table, "; results.json has all")
        size = f"{results.bytes / 2**20:.1f} MiB"
        print_line(self.console, f"{size}; estimated in {clock(results.seconds)}; run {results.run}")
        print_closing(self.console, results)
