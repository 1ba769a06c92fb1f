"""What a person sees of several seeds that are trained together: means, with standard errors."""

from typing import Any

from lm_jax.report.console import TrainingConsole, clock, indent, short


class SeedsConsole(TrainingConsole):
    """Prints the events of `lm_jax.train_seeds`."""

    def start(self, facts: dict[str, Any]) -> None:
        """The first lines of one run, and how many there are."""
        super().start(facts)
        self.console.print(f"{facts['seeds']} seeds: figures are means, after ± the standard error")

    def validation(self, record: dict[str, Any], sample: str) -> None:
        """The validation line, and a sample of the first seed."""
        loss, perplexity = (_with_error(record, name) for name in ("valid_loss", "valid_perplexity"))
        self.console.print(
            f"  valid after step {record['step']:,}: loss {loss}, perplexity {perplexity}, "
            f"{record['bits_per_byte']:.3f} bits per byte",
            markup=False,
        )
        self.console.print(indent(sample), style="dim", markup=False)

    def end(self, results: dict[str, Any]) -> None:
        """The table of means; after a stop, how to go on."""
        self.close()
        folder, names = results["run"], results["runs"]
        if results["stopped"]:
            self.console.print("stopped and saved; to go on, seed by seed:", markup=False)
            for name in names:
                self.console.print(f"  lm-jax train --resume {folder}/{name}", markup=False)
            return
        self.console.print(means_table(results))
        cost = f", {results['cost']:.1f} times the steps of one seed" if results["cost"] else ""
        self.console.print(
            f"{len(names)} seeds in {clock(results['seconds'])} of wall time{cost}; each is a run: "
            f"{folder}/{names[0]} to {names[-1]}",
            markup=False,
        )
        self.console.print(f"next: lm-jax generate {folder}/{names[0]}", markup=False)


def _with_error(record, name):
    error = record.get(f"{name}_error")
    digits = 4 if name == "valid_loss" else 2
    number = f"{record[name]:.4f}" if name == "valid_loss" else short(record[name])
    return number if error is None else f"{number} ± {error:.{digits}f}"


def means_table(results: dict[str, Any]):
    """A rich table: a row for each split, means over the seeds with their standard errors."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("split", "model", "seeds"):
        table.add_column(name, no_wrap=True)
    for name in ("nats/token", "perplexity"):
        table.add_column(name, justify="right", no_wrap=True)
    for split, measures in results["splits"].items():
        loss, perplexity = measures["cross_entropy"], measures["perplexity"]
        table.add_row(
            split,
            results["model"],
            str(len(results["runs"])),
            f"{loss['mean']:.4f} ± {loss['error']:.4f}",
            f"{short(perplexity['mean'])} ± {perplexity['error']:.2g}",
        )
    return table
