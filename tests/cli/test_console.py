"""The lines of the terminal, whatever task is trained."""

import io
import math

import pytest
from rich.console import Console

from lm_jax.cli.console import TrainingConsole, indent
from lm_jax.report.numbers import clock, short
from lm_jax.report.table import Table
from lm_jax.runs.results import TrainResults
from lm_jax.tasks import Closing
from lm_jax.tasks.closing_table import DROP, ClosingRow, closing_table
from lm_jax.training.listener import Column, Compilation, Report, Score, Start, Telemetry, Validation


COLUMNS = (
    Column("ppl", 9, lambda report: short(report.metrics["perplexity"])),
    Column("bits/B", 6, lambda report: f"{report.loss / math.log(2) / 1.25:.3f}"),
)
START = Start(
    device="cpu x 1",
    model="LSTM 1x8",
    engine="fused (auto)",
    parameters=12_345,
    data=("vocabulary 97 (char)", "1,000,000 tokens per epoch"),
    source="a [bold]text[/bold]",
    steps=2_000,
    steps_per_epoch=500,
    first_step=0,
    targets_per_epoch=1_000_000,
    unit="tokens",
    columns=COLUMNS,
    command="train",
    run="checkpoints/[1]",
)
HEADER = "   step  epoch    loss       ppl bits/B     grad  clipped      rate  tokens/s     left"


def report(step=100, loss=2.5, grad_norm=0.5, rate=3e-3, speed=None):
    return Report(step, loss, {"perplexity": 2.718**loss}, grad_norm, 0.25, rate, 1.0, speed)


def results(**changes):
    end = TrainResults("runs/1", 70, False, True, 12_345, 60, 62.4, Closing(), "train")
    return end._replace(**changes)


@pytest.fixture
def console():
    """A console whose output can be read, and that is no terminal."""
    told = TrainingConsole()
    told.console = Console(file=io.StringIO(), highlight=False, width=200)
    told.on_start(START)
    return told


def lines(console):
    return console.console.file.getvalue().splitlines()


def test_the_first_line_has_the_facts(console):
    assert lines(console)[0] == (
        "cpu x 1 | LSTM 1x8 | engine fused (auto) | 12,345 parameters | vocabulary 97 (char) | "
        "1,000,000 tokens per epoch | run checkpoints/[1]"
    )
    assert "a [bold]text[/bold] | 2,000 steps = 4 epochs" in lines(console)[1]
    console.on_start(START._replace(engine=None, mirror="drive", first_step=1200))
    assert "cpu x 1 | LSTM 1x8 | 12,345 parameters" in console.console.file.getvalue()
    assert "mirrored to a folder of that name in drive" in lines(console)
    assert "resumed after step 1,200" in lines(console)


def test_what_the_text_chose_is_one_line_of_flags(console):
    assert "chosen" not in console.console.file.getvalue()
    console.on_start(START._replace(chosen={"learning_rate": 5e-3, "dropout": 0.5, "epochs": 20, "min_count": 2}))
    flags = "--learning-rate 0.005 --dropout 0.5 --epochs 20 --min-count 2"
    assert f"chosen for this text: {flags}" in lines(console)


def test_the_time_to_compile(console):
    console.on_compilation(Compilation(2.34, False))
    console.on_compilation(Compilation(0.36, True))
    assert lines(console)[-2:] == ["compiled in 2.3 s", "compiled program read from the cache in 0.4 s"]


def test_a_task_brings_columns_of_its_own(console):
    console.on_report(report(loss=2.5, speed=5.0))
    header, row = lines(console)[-2:]
    assert row.split()[header.split().index("bits/B")] == f"{2.5 / math.log(2) / 1.25:.3f}"


def test_figures_stand_below_their_names(console):
    """Of one step or of a hundred thousand, fast or slow, or before anything was timed."""
    console.on_report(report(step=1, loss=12.345, grad_norm=1234.5))
    console.on_report(report(step=1999, loss=0.5, rate=1e-12, speed=1_234_567.8))
    console.on_report(report(speed=100.0))
    header, *rows = lines(console)[-4:]
    assert header == HEADER
    assert {len(row) for row in rows} == {len(HEADER)}
    ends = [i for i, letter in enumerate(HEADER + " ") if letter == " " and HEADER[i - 1] != " "]
    for row in rows:
        assert [i for i, letter in enumerate(row + " ") if letter == " " and row[i - 1] != " "] == ends
    assert rows[0].split()[-2:] == ["-", "-"]
    # (2,000 - 100) steps of 2,000 tokens each, at 100 tokens a second
    assert rows[2].split()[-1] == clock(1900 * 2000 / 100) == "10:33:20"


@pytest.mark.parametrize(
    "width,titles",
    {
        200: "step epoch loss ppl bits/B grad clipped rate tokens/s left",
        86: "step epoch loss ppl bits/B grad clipped rate tokens/s left",
        80: "step epoch loss ppl bits/B grad rate tokens/s left",
        60: "step epoch loss ppl bits/B tokens/s left",
        20: "step loss ppl bits/B",
    }.items(),
)
def test_a_narrow_terminal_has_fewer_columns(width, titles):
    console = TrainingConsole()
    console.console = Console(file=io.StringIO(), highlight=False, width=width)
    console.on_start(START)
    console.on_report(report(step=1999, loss=1.2345678, speed=1_234_567.8))
    header, row = lines(console)[-2:]
    assert header.split() == titles.split() and len(row) == len(header) <= max(width, 32)
    shown = dict(zip(header.split(), row.split(), strict=True))
    assert (shown["step"], shown["loss"]) == ("1,999", "1.2346")
    assert shown.get("tokens/s", "1,234,568") == "1,234,568"


def test_the_first_lines_end_between_phrases():
    console = TrainingConsole()
    console.console = Console(file=io.StringIO(), highlight=False, width=60)
    console.on_start(START)
    first, second, third, *_ = lines(console)
    assert first == "cpu x 1 | LSTM 1x8 | engine fused (auto) | 12,345 parameters"
    assert second == "  vocabulary 97 (char) | 1,000,000 tokens per epoch"
    assert third == "  run checkpoints/[1]" and all(len(line) <= 60 for line in lines(console))


def test_the_names_are_repeated_every_twenty_rows(console):
    for step in range(41):
        console.on_report(report(step=step, speed=5.0))
    found = lines(console)
    assert found.count(HEADER) == 3 and len(found) == 3 + 41 + 3


def test_a_validation_shows_whether_it_is_best(console):
    score = Score(0.693147, {"valid_perplexity": 2.0}, "perplexity 2.000, 1.23% unknown")
    console.on_validation(Validation(1500, score, True, sample="one\ntwo [dim]"))
    console.on_validation(Validation(1500, score, False, sample="x"))
    first, one, two, second, _ = lines(console)[-5:]
    assert first == ("  valid after step 1,500: loss 0.6931, perplexity 2.000, 1.23% unknown  * best so far")
    assert second == first.removesuffix("  * best so far")
    assert (one, two) == ("  | one", "  | two [dim]")


def test_a_stopped_run_says_how_to_go_on(console):
    console.on_end(results(run="checkpoints/1", step=1234, stopped=True))
    assert lines(console)[-2:] == [
        "stopped and saved after step 1,234; to continue:",
        "  lm-jax train --resume checkpoints/1",
    ]
    console.on_end(results(run="my runs/1", stopped=True, mirror="my drive", command="tag train"))
    assert lines(console)[-1] == "  lm-jax tag train --resume 'my runs/1' --mirror 'my drive'"


def row(split, model, cross_entropy):
    return ClosingRow(split, model, 1000, cross_entropy, 2.718**cross_entropy, 1.5, 1.25, 0.0)


def test_a_finished_run_ends_with_the_table_and_the_next_command(console):
    rows = (row("valid", "unigram", 12.5), row("test", "unigram", 3.25), row("test", "LSTM 1x8", 1.5))
    closing = Closing(
        rows=rows,
        table=closing_table(rows),
        sample="text",
        remarks=("one remark",),
        next_command="lm-jax generate {run} --prompt text",
    )
    console.on_end(results(closing=closing))
    text = "\n".join(lines(console))
    assert "stopped early after step 70" in text and "12,345 parameters, best step 60, 1:02 of wall time" in text
    assert "one remark" in lines(console)
    assert lines(console)[-1] == "next: lm-jax generate runs/1 --prompt text"
    body = [line for line in lines(console) if "unigram" in line or ("LSTM 1x8 " in line and "|" not in line)]
    assert len(body) == 3
    ends = {
        line.index(figure) + len(figure) for line, figure in zip(body, ("12.5000", "3.2500", "1.5000"), strict=True)
    }
    assert len(ends) == 1  # figures of a column end in one place


def test_the_table_is_empty_without_rows():
    assert closing_table(()) == Table(closing_table(()).titles, (), words=2, drop=DROP)


def test_indent():
    assert indent("a\n\nb") == "  | a\n  | \n  | b"


def test_telemetry_is_one_line(console):
    console.on_telemetry(Telemetry(1200, {}, "gradient after step 1,200: falls"))
    assert lines(console)[-1] == "  gradient after step 1,200: falls"
