"""The console of a run: its first lines, its progress, a sample, the closing table, whatever task it trains.

Plain lines always; on a terminal a rich progress bar below them.
"""

import sys

from lm_jax.cli.flags import flag_name
from lm_jax.cli.output import UntilClosed
from lm_jax.cli.report_columns import fit_columns
from lm_jax.cli.screen import make_console, print_line, print_unbroken
from lm_jax.cli.tables import print_table
from lm_jax.report.commands import shell_path
from lm_jax.report.numbers import clock
from lm_jax.runs.results import EstimateResults, TrainResults
from lm_jax.training.listener import (
    Column,
    Compilation,
    Incident,
    Listener,
    Report,
    Rollback,
    Start,
    Telemetry,
    Validation,
)


class TrainingConsole(Listener):
    """Prints the events of a run. repeated: flags that a command on the run needs again, which its folder lacks."""

    def __init__(self, repeated: str = ""):
        self.console = make_console(UntilClosed())  # which has all that rich asks of a file
        self.columns: tuple[Column, ...] = ()
        self.bar = None
        self.rows = 0
        self.repeated = repeated

    def on_start(self, start: Start) -> None:
        """Prints device, model, data, length of the run, folder; starts the bar."""
        self.columns = fit_columns(start, self.console.width)
        engine = [f"engine {start.engine}"] if start.engine else []
        head = [start.device, start.model, *engine, f"{start.parameters:,} parameters", *start.data, f"run {start.run}"]
        epochs = start.steps / start.steps_per_epoch
        self._print_phrases(head)
        self._print_phrases([f"data: {start.source}", f"{start.steps:,} steps = {epochs:.3g} epochs"])
        if start.chosen:
            values = " ".join(f"{flag_name(name)} {value:g}" for name, value in start.chosen.items())
            self._print(f"chosen for this text: {values}")
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
        """Prints beside the bar how far a validation is.

        Args:
            stage: What is being done, such as "validating".
            done: Parts that are done.
            total: Parts in all.
        """
        if self.bar is not None:
            self.bar.update(self.task, description=f"{stage} {done / total:.0%}")

    def on_report(self, report: Report) -> None:
        """Prints one aligned line of training figures."""
        if self.rows % 20 == 0:
            titles = " ".join(f"{column.title:>{column.width}}" for column in self.columns)
            print_unbroken(self.console, titles, "bold")
        self.rows += 1
        print_unbroken(self.console, " ".join(f"{column.show(report):>{column.width}}" for column in self.columns))

    def on_incident(self, incident: Incident) -> None:
        """Prints what was no number, what was done about it, and where the report is."""
        self._print(f"  {incident_words(incident)}", style="red")

    def on_rollback(self, rollback: Rollback) -> None:
        """Prints what was found, and where the run goes on from."""
        report = f"; report: {rollback.report}" if rollback.report else ""
        back = f"back to the state after step {rollback.to:,}"
        self._print(f"  step {rollback.step:,}: {rollback.message}; {back}{report}", style="red")

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
        """Prints the closing table, a sample, and the next command; after a stop, how to resume."""
        self.close()
        run = shell_path(results.run)
        if results.stopped:
            mirror = "" if results.mirror is None else f" --mirror {shell_path(results.mirror)}"
            self._print(f"stopped and saved after step {results.step:,}; to continue:")
            print_unbroken(self.console, f"  lm-jax {results.command} --resume {run}{mirror}{self.repeated}")
            return
        if results.finished_early:
            self._print(f"stopped early after step {results.step:,}: no improvement on the validation data")
        print_table(self.console, results.closing.table, "; results.json has all")
        if results.incidents:
            self._print(f"{results.incidents:,} steps were no numbers and were not applied; metrics.jsonl says which")
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
        print_line(self.console, line, style)

    def _print_phrases(self, phrases):
        """Prints phrases with bars between them; a line ends between two of them, if it must."""
        line = phrases[0]
        for phrase in phrases[1:]:
            longer = f"{line} | {phrase}"
            if len(longer) > self.console.width:
                self._print(line)
                longer = f"  {phrase}"
            line = longer
        self._print(line)


def incident_words(incident: Incident) -> str:
    """Writes what happened at a step, and what was done."""
    numbers = f"loss {incident.loss:.4g}, gradient norm {incident.grad_norm:.4g}"
    back = "" if incident.back_to is None else f"; back to the state after step {incident.back_to:,}"
    if incident.fault == "spike":
        return f"step {incident.step:,}: a spike of the loss ({numbers}){back}"
    factors = (("learning rate", incident.rate), ("clipping norm", incident.clip))
    changed = "".join(f"; {name} now {factor:g} of what was set" for name, factor in factors if factor < 1)
    row = f", {incident.in_a_row} in a row" if incident.in_a_row > 1 else ""
    found = f"; first: {incident.found}" if incident.found else ""
    report = f"; report: {incident.report}" if incident.report else ""
    fault = "an explosion of the loss" if incident.fault == "explosion" else f"no number in the {incident.fault}"
    what = f"step {incident.step:,}: {fault} ({numbers}), not applied"
    return f"{what}{row}{changed}{back}{found}{report}"


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
    """Prints the task's remarks, a sample and the next command.

    Args:
        console: Where to print.
        results: The results of the run.
        repeated: Flags that the next command must repeat, with a space before.
    """
    closing = results.closing
    for remark in closing.remarks:
        print_line(console, remark)
    if closing.sample:
        print_line(console, f"\na sample:\n{indent(closing.sample)}\n")
    if closing.next_command:
        command = closing.next_command.replace("{run}", shell_path(results.run))
        print_unbroken(console, f"next: {command}{repeated}")


def print_progress(done: int, total: int) -> None:
    """Prints a share that overwrites itself on the terminal; nothing where the errors go to a file."""
    if sys.stderr.isatty():
        print(f"\r{done / total:>4.0%}", end="\r" if done < total else "\r    \r", file=sys.stderr, flush=True)


def indent(text: str) -> str:
    """Writes a text as a quotation."""
    return "\n".join(f"  | {line}" for line in text.split("\n"))
