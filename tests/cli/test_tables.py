"""Tables at any width: columns go in a stated order, words go on in the next line, numbers are whole; other forms."""

import csv
import io
import json

import pytest
from rich.console import Console

from lm_jax.cli.table_output import FORMS, TableArguments, print_answer
from lm_jax.cli.tables import draw, fit, markdown, needed, print_table
from lm_jax.errors import UserError
from lm_jax.report.table import Table
from lm_jax.tasks.closing_table import ClosingRow, closing_table


ROWS = (("lstm-char-1", "1,234,567", "3.0710", "12.5 %"), ("a [bold]name[/] :smile:", "98", "123.4567", "0 %"))
TABLE = Table(("run", "size", "nats", "unknown"), ROWS, drop=("unknown", "size"))
CLOSING = closing_table(
    tuple(
        ClosingRow(split, model, 1_234_567, 12.3456, 98765.4321, 9.876, 8.765, 0.129)
        for split in ("train", "valid", "test")
        for model in ("unigram", "5-gram MKN", "LSTM 2x1024")
    )
)


def printed(table, width, hint="", **options):
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)
    print_table(console, table, hint)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_fits_and_its_numbers_are_whole(width):
    text = printed(CLOSING, width)
    assert all(len(line) <= width for line in text.splitlines())
    fitted = fit(CLOSING, width)
    for row in fitted.rows:
        assert all(cell in text for cell in row)
    missing = [title for title in CLOSING.titles if title not in fitted.titles]
    assert missing == {60: ["bits/byte", "unknown"], 80: [], 200: []}[width]
    assert (f"no room for: {', '.join(missing)}" in text) == bool(missing)


def test_columns_go_in_the_order_that_the_table_states():
    widths = [needed(TABLE.without(gone), 1) for gone in (set(), {"unknown"}, {"unknown", "size"})]
    assert fit(TABLE, widths[0]).titles == TABLE.titles
    assert fit(TABLE, widths[0] - 1).titles == ("run", "size", "nats")
    assert fit(TABLE, widths[1] - 1).titles == ("run", "nats")
    assert fit(TABLE, 3).titles == ("run", "nats")  # no other may go
    assert fit(TABLE, 3).words == 1 and not fit(TABLE, 3).is_words(1)


def test_words_go_on_in_the_next_line_where_there_is_no_room():
    lines = draw(fit(TABLE, 24), 24)
    assert "123.4567" in lines[2] and len(lines) > 3 and all(len(line) <= 24 for line in lines)
    assert "".join(line[:15] for line in lines[2:]).replace(" ", "").startswith("a[bold]name[/]:smile:")
    assert any("123.4567" in line for line in draw(TABLE, 5))  # even where nothing has room


def test_texts_are_printed_as_they_are():
    table = Table(("run [red]", "n"), (("[bold]x[/bold] :smile: [1]", "1"), ("bell\a\x1b[2J\nend\x9b", "2")))
    text = printed(table, 80, force_terminal=True, color_system="truecolor")
    assert "[bold]x[/bold] :smile: [1]" in text and "run [red]" in text
    assert "bell\\x07\\x1b[2J\\nend\\x9b" in text and "\x1b[2J" not in text and "\a" not in text and "\x9b" not in text


def test_wide_letters_count_twice():
    table = Table(("word", "n"), (("日本語", "1"), ("abcdef", "2")))
    assert draw(table, 80) == ["word    n", "日本語  1", "abcdef  2"]


def test_a_table_without_rows_and_no_table():
    assert printed(Table(("a", "b"), ()), 80) == "a  b\n" and printed(None, 80) == ""


def test_markdown():
    table = Table(("run", "n", "line"), (("a|b", "1", "x\ny"),), ends_in_words=True)
    assert markdown(table).splitlines() == ["| run | n | line |", "| :-- | --: | :-- |", "| a\\|b | 1 | x\\ny |"]


RECORDS = [{"run": "a", "nats": 1 / 3, "weights": {"a": 1.0}}, {"run": "b", "nats": None, "weights": None}]


def test_csv_has_the_numbers_as_they_are(capsys):
    print_answer(TableArguments(csv=True), TABLE, RECORDS, ["before"], ["after"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["run"] for row in rows] == ["a", "b"] and float(rows[0]["nats"]) == 1 / 3
    assert json.loads(rows[0]["weights"]) == {"a": 1.0} and rows[1]["nats"] == ""


def test_a_person_has_lines_above_and_below_and_a_pipe_all_columns(capsys, monkeypatch):
    print_answer(TableArguments(), TABLE, RECORDS, ["before [b]"], ["after :smile:"])
    first, header, *_, last = capsys.readouterr().out.splitlines()
    assert (first, header.split(), last) == ("before [b]", list(TABLE.titles), "after :smile:")
    monkeypatch.setenv("COLUMNS", "40")
    print_answer(TableArguments(), TABLE, RECORDS)
    assert "no room for: size, unknown; --wide" in " ".join(capsys.readouterr().out.split())
    print_answer(TableArguments(wide=True), TABLE, RECORDS)
    assert "no room" not in (text := capsys.readouterr().out) and "1,234,567" in text
    print_answer(TableArguments(markdown=True), TABLE, RECORDS)
    assert capsys.readouterr().out.startswith("| run | size | nats | unknown |\n")


@pytest.mark.parametrize("one,other", [(one, other) for one in FORMS for other in FORMS if one < other])
def test_there_is_one_form(one, other):
    with pytest.raises(UserError, match="the output has one form") as caught:
        TableArguments(**{one: True, other: True}).check_form()
    assert set(caught.value.settings) == {one, other}
