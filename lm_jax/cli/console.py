"""The console of a run: its first lines, its progress, a sample, the closing table, whatever task it trains.

Plain lines always; on a terminal a rich progress bar below them.
"""

import shlex
import sys
from typing import Any

from lm_jax.cli.output import UntilClosed
from lm_jax.report.numbers import clock
from lm_jax.report.table import Table
from lm_jax.runs.results import EstimateResults, TrainResults
from lm_jax.training.listener import Column, Compilation, Listener, Report, Start, Telemetry, Validation


class TrainingConsole(Listener):
    """Prints the events of a run. repeated: flags that a command on the run needs again, which its folder lacks."""

    def __init__(self, repeated: str = ""):
        from rich.console import Console

        output: Any = UntilClosed()  # all that rich asks of a file
        self.console = Console(highlight=False, soft_wrap=True, file=output)
        self.columns: tuple[Column, ...] = ()
        self.bar = None
        self.rows = 0
        self.repeated = repeated

    def on_start(self, start: Start) -> None:
        """Prints device, model, data, length of the run, folder; starts the bar."""
        self.columns = report_columns(start)
        engine = [f"engine {start.engine}"] if start.engine else []
        head = [start.device, start.model, *engine, f"{start.parameters:,} parameters", *start.data, f"run {start.run}"]
        epochs = start.steps / start.steps_per_epoch
        self._print(" | ".join(head))
        self._print(f"data: {start.source} | {start.steps:,} steps = {epochs:.3g} epochs")
        if start.mirror is not None:
            self._print(f"mirrored to a folder of that name in {start.mirror}")
        if start.first_step:
            self._print(f"resumed after step {start.first_step:,}")
        if start.seeds > 1:
            self._print(f"{start.seeds} seeds: figures are means, after ± the standard error")
        self._print("compiling ...")
        if self.console.is_terminal:
            self.bar = self._new_bar()
            self.bar.start()
            self.task = self.bar.add_task("training", total=start.steps, completed=start.first_step)

    def _new_bar(self):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        return Progress(*columns, console=self.console, transient=True)

    def on_compilation(self, compilation: Compilation) -> None:
        """Prints how long the first step was waited for."""
        verb = "compiled program read from the cache in" if compilation.from_cache else "compiled in"
        self._print(f"{verb} {compilation.seconds:.1f} s")

    def on_steps(self, step: int) -> None:
        """Moves the bar."""
        if self.bar is not None:
            self.bar.update(self.task, completed=step, description="training")

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Prints beside the bar how far a validation is."""
        if self.bar is not None:
            self.bar.update(self.task, description=f"{stage} {done / total:.0%}")

    def on_report(self, report: Report) -> None:
        """Prints one aligned line of training figures."""
        if self.rows % 20 == 0:
            self._print(" ".join(f"{column.title:>{column.width}}" for column in self.columns))
        self.rows += 1
        self._print(" ".join(f"{column.show(report):>{column.width}}" for column in self.columns))

    def on_telemetry(self, telemetry: Telemetry) -> None:
        """Prints one line of measurements."""
        self._print(f"  {telemetry.words}", style="cyan")

    def on_validation(self, validation: Validation) -> None:
        """Prints the validation line, with a mark when best, and a sample."""
        mark = "  * best so far" if validation.best else ""
        line = f"  valid after step {validation.step:,}: {score_words(validation)}{mark}"
        self._print(line, style="bold" if validation.best else None)
        if validation.sample:
            self._print(indent(validation.sample), style="dim")

    def on_end(self, results: TrainResults) -> None:
        """Prints the closing table, a sample, and the next command; after a stop, how to go on."""
        self.close()
        run = shlex.quote(results.run)
        if results.stopped:
            mirror = "" if results.mirror is None else f" --mirror {shlex.quote(results.mirror)}"
            self._print(f"stopped and saved after step {results.step:,}; to go on:")
            self._print(f"  lm-jax {results.command} --resume {run}{mirror}{self.repeated}")
            return
        if results.finished_early:
            self._print(f"stopped early after step {results.step:,}: no improvement on the validation data")
        print_table(self.console, results.closing.table)
        self._print(
            f"{results.parameters:,} parameters, best step {results.best_step:,}, "
            f"{clock(results.seconds)} of wall time; loss curve: {results.run}/loss.png"
        )
        print_closing(self.console, results, self.repeated)

    def close(self) -> None:
        """Takes the bar away, also after an error."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _print(self, line, style=None):
        self.console.print(line, style=style, markup=False)


def report_columns(start: Start) -> tuple[Column, ...]:
    """Returns the columns of the table of reports: those of every task, and between them the task's own."""

    def epoch(report):
        return f"{report.step / start.steps_per_epoch:.2f}"

    def speed(report):
        return f"{report.targets_per_second:,.0f}" if report.targets_per_second else "-"

    def left(report):
        if not report.targets_per_second:
            return "-"
        targets = (start.steps - report.step) * start.targets_per_epoch
        return clock(targets / start.steps_per_epoch / report.targets_per_second)

    return (
        Column("step", 7, lambda report: f"{report.step:,}"),
        Column("epoch", 6, epoch),
        Column("loss", 7, lambda report: f"{report.loss:.4f}"),
        *start.columns,
        Column("grad", 8, lambda report: f"{report.grad_norm:.3g}"),
        Column("clipped", 8, lambda report: f"{report.clipped:.0%}"),
        Column("rate", 9, lambda report: f"{report.learning_rate:.2e}"),
        Column(f"{start.unit}/s", 9, speed),
        Column("left", 8, left),
    )


def score_words(validation: Validation) -> str:
    """Writes a score: in the task's words, or as means with standard errors where there are several seeds."""
    score, error = validation.score, validation.error
    if score.words:
        return f"loss {score.loss:.4f}, {score.words}"
    values = {"loss": score.loss, **score.metrics}
    return ", ".join(
        f"{_metric_name(name)} {value:.4f}" + (f" ± {error[name]:.4f}" if name in error else "")
        for name, value in values.items()
    )


def _metric_name(name):
    return name.removeprefix("valid_").replace("_", " ")


def print_closing(console, results: TrainResults | EstimateResults, repeated: str = "") -> None:
    """Prints the task's remarks, a sample and the next command, with the flags to repeat."""
    closing = results.closing
    for remark in closing.remarks:
        console.print(remark, markup=False)
    if closing.sample:
        console.print(f"\na sample:\n{indent(closing.sample)}\n", markup=False)
    if closing.next_command:
        command = closing.next_command.replace("{run}", shlex.quote(results.run))
        console.print(f"next: {command}{repeated}", markup=False)


def print_table(console, table: Table | None) -> None:
    """Prints a table of texts; nothing where there is none."""
    from rich.table import Table as RichTable

    if table is None:
        return
    drawn = RichTable(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for number, title in enumerate(table.titles):
        drawn.add_column(title, no_wrap=True, justify="left" if number < table.words else "right")
    for number, row in enumerate(table.rows):
        drawn.add_row(*row, end_section=number in table.sections)
    console.print(drawn)


def print_progress(done: int, total: int) -> None:
    """Prints a share that overwrites itself on the terminal; nothing where the errors go to a file."""
    if sys.stderr.isatty():
        print(f"\r{done / total:>4.0%}", end="\r" if done < total else "\r    \r", file=sys.stderr, flush=True)


def indent(text: str) -> str:
    """Writes a text as a quotation."""
    return "\n".join(f"  | {line}" for line in text.split("\n"))
