"""The loss curve and the lines of the terminal."""

import io
import math

import pytest
from rich.console import Console

from lm_jax.report.console import HEADER, TrainingConsole, clock, closing_table, indent, next_command, short
from lm_jax.report.figures import draw_loss_curve
from lm_jax.report.telemetry_figure import draw_telemetry


RECORDS = [
    {"step": 5, "loss": 2.0},
    {"step": 8, "valid_loss": 1.9, "best": True},
    {"step": 10, "loss": 1.5},
    {"step": 10, "valid_loss": 1.7, "best": True, "closing": True},
]
FACTS = {
    "device": "cpu x 1",
    "model": "LSTM 1x8",
    "engine": "fused (auto)",
    "parameters": 12_345,
    "vocabulary": 97,
    "level": "char",
    "corpus": "a [bold]text[/bold]",
    "tokens_per_epoch": 1_000_000,
    "bytes_per_token": 1.25,
    "unk_rate": 0.0,
    "steps": 2_000,
    "steps_per_epoch": 500,
    "first_step": 0,
    "run": "checkpoints/[1]",
}


def record(step=100, loss=2.5, grad_norm=0.5, clipped=0.25, rate=3e-3):
    return {
        "step": step,
        "loss": loss,
        "perplexity": 2.718**loss,
        "grad_norm": grad_norm,
        "clipped": clipped,
        "learning_rate": rate,
    }


@pytest.fixture
def console():
    """A console whose output can be read, and that is no terminal."""
    told = TrainingConsole()
    told.console = Console(file=io.StringIO(), highlight=False, soft_wrap=True, width=80)
    told.start(FACTS)
    return told


def lines(console):
    return console.console.file.getvalue().splitlines()


@pytest.mark.parametrize("level", ["char", "byte", "word"])
@pytest.mark.parametrize("records", [RECORDS, RECORDS[:1], RECORDS[1:2], []], ids=["all", "train", "valid", "none"])
def test_the_loss_curve_is_a_picture(tmp_path, records, level):
    draw_loss_curve(records, tmp_path / "loss.png", level)
    picture = (tmp_path / "loss.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n") and picture.rstrip().endswith(b"IEND\xaeB`\x82")
    assert len(picture) > 5_000


def test_the_curves_are_in_the_picture(tmp_path):
    for number, records in enumerate((RECORDS, RECORDS[:3], [])):
        draw_loss_curve(records, tmp_path / f"{number}.png", "char")
    assert len({(tmp_path / f"{number}.png").read_bytes() for number in range(3)}) == 3


def test_the_first_line_has_the_facts(console):
    first = lines(console)[0]
    assert first == (
        "cpu x 1 | LSTM 1x8 | engine fused (auto) | 12,345 parameters | vocabulary 97 (char) | "
        "1,000,000 tokens per epoch | run checkpoints/[1]"
    )
    assert "a [bold]text[/bold] | 2,000 steps = 4 epochs" in lines(console)[1]
    console.start(FACTS | {"unk_rate": 0.0123, "engine": None})
    assert "1,000,000 tokens per epoch, 1.23% unknown | run" in console.console.file.getvalue()
    assert "cpu x 1 | LSTM 1x8 | 12,345 parameters" in console.console.file.getvalue()


def test_the_time_to_compile(console):
    console.compilation({"seconds": 2.34, "from_cache": False})
    console.compilation({"seconds": 0.36, "from_cache": True})
    assert lines(console)[-2:] == ["compiled in 2.3 s", "compiled program read from the cache in 0.4 s"]


def test_bits_are_per_byte_of_the_text(console):
    console.report(record(loss=2.5), {"step": 1, "seconds": 1.0, "tokens_per_second": 5.0})
    header, row = lines(console)[-2:]
    assert row.split()[header.split().index("bits/B")] == f"{2.5 / math.log(2) / 1.25:.3f}"


def test_figures_stand_below_their_names(console):
    """Of one step or of a hundred thousand, fast or slow, or before anything was timed."""
    times = {"step": 1, "seconds": 0.0, "tokens_per_second": None}
    console.report(record(step=1, loss=12.345, grad_norm=1234.5), times)
    console.report(record(step=1999, loss=0.5, rate=1e-12), {**times, "tokens_per_second": 1_234_567.8})
    console.report(record(), {**times, "tokens_per_second": 100.0})
    header, *rows = lines(console)[-4:]
    assert header == HEADER
    assert {len(row) for row in rows} == {len(HEADER)}
    ends = [i for i, letter in enumerate(HEADER + " ") if letter == " " and HEADER[i - 1] != " "]
    for row in rows:
        assert [i for i, letter in enumerate(row + " ") if letter == " " and row[i - 1] != " "] == ends
    assert rows[0].split()[-2:] == ["-", "-"]
    # (2,000 - 100) steps of 2,000 tokens each, at 100 tokens a second
    assert rows[2].split()[-1] == clock(1900 * 2000 / 100) == "10:33:20"


def test_the_names_are_repeated_every_twenty_rows(console):
    for step in range(41):
        console.report(record(step=step), {"step": step, "seconds": 1.0, "tokens_per_second": 5.0})
    found = lines(console)
    assert found.count(HEADER) == 3 and len(found) == 3 + 41 + 3


def test_a_validation_shows_whether_it_is_best(console):
    told = {"step": 1500, "valid_loss": 0.693147, "valid_perplexity": 2.0, "best": True}
    told |= {"bits_per_byte": 0.8, "unk_rate": 0.0123}
    console.validation(told, "one\ntwo [dim]")
    console.validation({**told, "best": False}, "x")
    first, one, two, second, _ = lines(console)[-5:]
    assert first == (
        "  valid after step 1,500: loss 0.6931, perplexity 2.000, 1.000 bits per char, 0.800 per byte, "
        "1.23% unknown  * best so far"
    )
    assert second == first.removesuffix("  * best so far")
    assert (one, two) == ("  | one", "  | two [dim]")


def test_a_stopped_run_says_how_to_go_on(console):
    console.end({"run": "checkpoints/[1]", "stopped": True, "step": 1234})
    assert lines(console)[-2:] == [
        "stopped and saved after step 1,234; to go on:",
        "  lm-jax train --resume checkpoints/[1]",
    ]


def row(split, model, cross_entropy):
    figures = {"tokens": 1000, "cross_entropy": cross_entropy, "perplexity": 2.718**cross_entropy}
    return {
        "split": split,
        "model": model,
        **figures,
        "bits_per_character": 1.5,
        "bits_per_byte": 1.25,
        "unk_rate": 0.0,
    }


@pytest.mark.parametrize(
    "sample, prompt",
    [
        ("the old man said", ' --prompt "the old"'),
        ("one\ntwo", ' --prompt "one two"'),
        ("<unk> said", ""),
        ('" ``', ""),
        ("$HOME is", ""),
        ("", ""),
    ],
)
def test_the_next_command_is_in_the_words_of_the_model(sample, prompt):
    assert next_command("runs/1", sample) == f"lm-jax generate runs/1{prompt}"


def test_a_finished_run_ends_with_the_table_and_the_next_command(console):
    results = {
        "run": "runs/1",
        "stopped": False,
        "finished_early": True,
        "step": 70,
        "rows": [row("valid", "unigram", 12.5), row("test", "unigram", 3.25), row("test", "LSTM 1x8", 1.5)],
        "parameters": 12_345,
        "best_step": 60,
        "seconds": 62.4,
        "sample": "text",
    }
    console.end(results)
    text = "\n".join(lines(console))
    assert "stopped early after step 70" in text and "12,345 parameters, best step 60, 1:02 of wall time" in text
    assert lines(console)[-1] == 'next: lm-jax generate runs/1 --prompt "text"'
    body = [line for line in lines(console) if "unigram" in line or ("LSTM 1x8 " in line and "|" not in line)]
    assert len(body) == 3
    ends = {
        line.index(figure) + len(figure) for line, figure in zip(body, ("12.5000", "3.2500", "1.5000"), strict=True)
    }
    assert len(ends) == 1  # figures of a column end in one place


def test_the_table_is_empty_without_rows():
    assert closing_table([]).row_count == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (41.6, "0:42"), (59.6, "1:00"), (3599, "59:59"), (3723, "1:02:03"), (360000, "100:00:00")],
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.23456, "1.235"),
        (9.9994, "9.999"),
        (12.345, "12.35"),
        (12345.678, "12,345.68"),
        (123456.7, "1.23e+05"),
        (float("inf"), "inf"),
    ],
)
def test_short(number, text):
    assert short(number) == text


def test_indent():
    assert indent("a\n\nb") == "  | a\n  | \n  | b"


TELEMETRY = {"max_lag": 63, "log_median": {"1": -0.5}, "horizon_10": 7, "horizon_1": None, "lyapunov": [-0.0504, None]}


def test_telemetry_is_one_line(console):
    console.telemetry({"step": 1200, "telemetry": TELEMETRY})
    assert lines(console)[-1] == (
        "  gradient after step 1,200: falls below 10 % at lag 7, 1 % at >63 (characters); "
        "Lyapunov exponents -0.050 - nats per step"
    )
    console.telemetry({"step": 1200, "telemetry": {**TELEMETRY, "log_median": {}, "lyapunov": []}})
    assert lines(console)[-1] == "  gradient after step 1,200: is no number; Lyapunov exponents - nats per step"


def test_telemetry_is_a_picture_and_nothing_is_none(tmp_path):
    draw_telemetry(RECORDS, tmp_path / "none.png", "char")
    broken = {"step": 4, "telemetry": {**TELEMETRY, "log_median": {}, "horizon_10": None}}
    draw_telemetry([*RECORDS, broken], tmp_path / "none.png", "char")
    assert not (tmp_path / "none.png").exists()
    reached = {"step": 8, "telemetry": {**TELEMETRY, "horizon_1": 30}}
    for name, records in (("some", [reached]), ("more", [reached, {"step": 9, "telemetry": TELEMETRY}, broken])):
        draw_telemetry(records, tmp_path / f"{name}.png", "char")
    some, more = ((tmp_path / f"{name}.png").read_bytes() for name in ("some", "more"))
    assert some.startswith(b"\x89PNG") and some != more
