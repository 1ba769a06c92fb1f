"""The console of several seeds that are trained together: means, with standard errors."""

from lm_jax.cli.console import TrainingConsole
from lm_jax.cli.screen import print_unbroken
from lm_jax.cli.tables import print_table
from lm_jax.report.commands import shell_path
from lm_jax.report.numbers import clock, short
from lm_jax.report.table import Table
from lm_jax.runs.seeds import SeedResults


class SeedsConsole(TrainingConsole):
    """Prints the events of `lm_jax.train_seeds`."""

    def on_end(self, results: SeedResults) -> None:
        """Prints the table of means; after a stop, how to resume."""
        self.close()
        folder, names = results.run, results.runs
        if results.stopped:
            self._print("stopped and saved; to continue, seed by seed:")
            for run in (shell_path(f"{folder}/{name}") for name in names):
                print_unbroken(self.console, f"  lm-jax {results.command} --resume {run}{self.repeated}")
            return
        print_table(self.console, means_table(results))
        self._print(
            f"{len(names)} seeds in {clock(results.seconds)} of wall time; each is a run: "
            f"{folder}/{names[0]} to {names[-1]}"
        )
        compared = " ".join(shell_path(f"{folder}/{name}") for name in names[:2])
        print_unbroken(self.console, f"next: lm-jax compare {compared}{self.repeated}")


def means_table(results: SeedResults) -> Table:
    """Writes a row for each split: means over the seeds with their standard errors."""
    measures = next(iter(results.splits.values()), {})
    titles = ("split", "model", "seeds", *(name.replace("_", " ") for name in measures))
    rows = tuple(
        (split, results.model, str(len(results.runs)), *(_with_error(measure) for measure in means.values()))
        for split, means in results.splits.items()
    )
    return Table(titles, rows, words=3)


def _with_error(measure):
    return f"{short(measure['mean'])} ± {measure['error']:.2g}"
