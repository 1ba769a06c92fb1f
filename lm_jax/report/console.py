"""What a person sees in the terminal: the first line of a run, its progress, a sample of text, the closing table.

Plain lines always; on a terminal a rich progress bar below them.
"""

import math
import os
import re
import shlex
import sys
from typing import Any

from lm_jax.report.figures import UNITS


HEADER = (
    f"{'step':>7} {'epoch':>6} {'loss':>7} {'ppl':>9} {'bits/B':>6} {'grad':>8} {'clipped':>8} {'rate':>9} "
    f"{'tokens/s':>9} {'left':>8}"
)


class UntilClosed:
    """Standard output that goes on in silence when its reader goes away (`| head`): the run is worth more."""

    def write(self, text: str) -> int:
        """Writes, while somebody reads."""
        return self._try(lambda: sys.stdout.write(text)) or len(text)

    def flush(self) -> None:
        """Flushes, while somebody reads."""
        self._try(sys.stdout.flush)

    def __getattr__(self, name: str):
        return getattr(sys.stdout, name)

    def _try(self, action):
        try:
            return action()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None


class TrainingConsole:
    """Prints the events of a run; its methods fit the fields of `lm_jax.Listener`."""

    def __init__(self):
        from rich.console import Console

        self.console = Console(highlight=False, soft_wrap=True, file=UntilClosed())
        self.facts: dict[str, Any] = {}
        self.bar = None
        self.rows = 0

    def start(self, facts: dict[str, Any]) -> None:
        """The first lines: device, model, text, length of the run, folder."""
        self.facts = facts
        epochs = facts["steps"] / facts["steps_per_epoch"]
        unknown = f", {facts['unk_rate']:.2%} unknown" if facts["unk_rate"] else ""
        print_ = self.console.print
        engine = f"engine {facts['engine']} | " if facts["engine"] else ""
        print_(
            f"{facts['device']} | {facts['model']} | {engine}{facts['parameters']:,} parameters | "
            f"vocabulary {facts['vocabulary']:,} ({facts['level']}) | {facts['tokens_per_epoch']:,} tokens per epoch"
            f"{unknown} | run {facts['run']}",
            markup=False,
        )
        print_(f"text: {facts['corpus']} | {facts['steps']:,} steps = {epochs:.3g} epochs", markup=False)
        if "mirror" in facts:
            print_(f"mirrored to a folder of that name in {facts['mirror']}", markup=False)
        if facts["first_step"]:
            print_(f"resumed after step {facts['first_step']:,}")
        print_("compiling ...")
        if self.console.is_terminal:
            self.bar = self._new_bar()
            self.bar.start()
            self.task = self.bar.add_task("training", total=facts["steps"], completed=facts["first_step"])

    def _new_bar(self):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        return Progress(*columns, console=self.console, transient=True)

    def compilation(self, facts: dict[str, Any]) -> None:
        """How long the first step was waited for."""
        how = "compiled program read from the cache in" if facts["from_cache"] else "compiled in"
        self.console.print(f"{how} {facts['seconds']:.1f} s")

    def dispatch(self, step: int) -> None:
        """Moves the bar."""
        if self.bar is not None:
            self.bar.update(self.task, completed=step, description="training")

    def scoring(self, what: str, done: int, total: int) -> None:
        """Says beside the bar how far a validation is."""
        if self.bar is not None:
            self.bar.update(self.task, description=f"{what} {done / total:.0%}")

    def report(self, record: dict[str, Any], times: dict[str, Any]) -> None:
        """One aligned line of training figures."""
        if self.rows % 20 == 0:
            self.console.print(HEADER, markup=False)
        self.rows += 1
        speed = times["tokens_per_second"]
        left, rate = "-", "-"
        bits = record["loss"] / math.log(2) / self.facts["bytes_per_token"]
        if speed:
            tokens = (self.facts["steps"] - record["step"]) * self.facts["tokens_per_epoch"]
            left = clock(tokens / self.facts["steps_per_epoch"] / speed)
            rate = f"{speed:,.0f}"
        self.console.print(
            f"{record['step']:>7,} {record['step'] / self.facts['steps_per_epoch']:>6.2f} {record['loss']:>7.4f} "
            f"{short(record['perplexity']):>9} {bits:>6.3f} {record['grad_norm']:>8.3g} "
            f"{record['clipped']:>8.0%} {record['learning_rate']:>9.2e} {rate:>9} {left:>8}",
            markup=False,
        )

    def telemetry(self, record: dict[str, Any]) -> None:
        """One line: how far back the gradient reaches, and the largest Lyapunov exponents."""
        found, unit = record["telemetry"], UNITS[self.facts["level"]]
        exponents = " ".join("-" if one is None else f"{one:+.3f}" for one in found["lyapunov"]) or "-"
        if not found["log_median"]:
            reached = "is no number"
        else:
            lags = [
                f">{found['max_lag']}" if found[name] is None else found[name] for name in ("horizon_10", "horizon_1")
            ]
            reached = f"falls below 10 % at lag {lags[0]}, 1 % at {lags[1]} ({unit}s)"
        self.console.print(
            f"  gradient after step {record['step']:,}: {reached}; Lyapunov exponents {exponents} nats per step",
            style="cyan",
            markup=False,
        )

    def validation(self, record: dict[str, Any], sample: str) -> None:
        """The validation line, with a mark when best, and a sample."""
        mark = "  * best so far" if record["best"] else ""
        loss = record["valid_loss"]
        self.console.print(
            f"  valid after step {record['step']:,}: loss {loss:.4f}, perplexity {short(record['valid_perplexity'])}, "
            f"{loss / math.log(2):.3f} bits per {self.facts['level']}, {record['bits_per_byte']:.3f} per byte, "
            f"{record['unk_rate']:.2%} unknown{mark}",
            style="bold" if record["best"] else None,
            markup=False,
        )
        self.console.print(indent(sample), style="dim", markup=False)

    def end(self, results: dict[str, Any]) -> None:
        """The closing table, a sample, and the next command; after a stop, how to go on."""
        self.close()
        run = results["run"]
        if results["stopped"]:
            self.console.print(f"stopped and saved after step {results['step']:,}; to go on:", markup=False)
            mirror = f" --mirror {results['mirror']}" if "mirror" in results else ""
            self.console.print(f"  lm-jax train --resume {run}{mirror}", markup=False)
            return
        if results["finished_early"]:
            self.console.print(f"stopped early after step {results['step']:,}: no improvement on the validation text")
        self.console.print(closing_table(results["rows"]))
        self.console.print(
            f"{results['parameters']:,} parameters, best step {results['best_step']:,}, "
            f"{clock(results['seconds'])} of wall time; loss curve: {run}/loss.png",
            markup=False,
        )
        if "position_norms" in results:
            norms = " ".join(f"{norm:.1f}" for norm in results["position_norms"])
            self.console.print(f"norms of the weights of each position, the newest first: {norms}", markup=False)
        self.console.print(f"\na sample:\n{indent(results['sample'])}\n", markup=False)
        self.console.print(f"next: {next_command(run, results['sample'])}", markup=False)

    def close(self) -> None:
        """Takes the bar away, also after an error."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def next_command(run: str, sample: str) -> str:
    """What to type next: the model goes on with the first words of its own sample, which its vocabulary has."""
    words = sample.split()[:2]
    prompt = " ".join(words)
    plain = re.fullmatch(r"[\w ,.'-]+", prompt) and "<unk>" not in prompt
    return f"lm-jax generate {shlex.quote(run)}" + (f' --prompt "{prompt}"' if plain else "")


def closing_table(rows: list[dict[str, Any]]):
    """A rich table: for each split the baselines and the model, on the same tokens."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("split", "model"):
        table.add_column(name, no_wrap=True)
    for name in ("tokens", "nats/token", "perplexity", "bits/char", "bits/byte", "unknown"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        last_of_split = number + 1 == len(rows) or rows[number + 1]["split"] != row["split"]
        table.add_row(
            row["split"],
            row["model"],
            f"{row['tokens']:,}",
            f"{row['cross_entropy']:.4f}",
            short(row["perplexity"]),
            f"{row['bits_per_character']:.3f}",
            f"{row['bits_per_byte']:.3f}",
            f"{row['unk_rate']:.2%}",
            end_section=last_of_split,
        )
    return table


def print_progress(done: int, total: int) -> None:
    """A share that overwrites itself on the terminal; nothing where the errors go to a file."""
    if sys.stderr.isatty():
        print(f"\r{done / total:>4.0%}", end="\r" if done < total else "\r    \r", file=sys.stderr, flush=True)


def short(number: float) -> str:
    """Four digits at least, thousands separated; large ones in powers of ten."""
    if number >= 1e5:
        return f"{number:.2e}"
    return f"{number:,.2f}" if number >= 10 else f"{number:.3f}"


def clock(seconds: float) -> str:
    """Such as 0:42 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def indent(text: str) -> str:
    """A text as a quotation."""
    return "\n".join(f"  | {line}" for line in text.split("\n"))
