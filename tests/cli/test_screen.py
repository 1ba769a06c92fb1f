"""What a terminal, a notebook and a pipe may get; no text moves the cursor."""

import io
import os
import pty
import subprocess
import sys

import pytest

from lm_jax.cli.screen import UNLIMITED, Screen, make_console, print_line, print_unbroken, say, screen_of, shown
from lm_jax.report.visible_text import one_line, visible


class Terminal(io.StringIO):
    """An output that calls itself a terminal of 93 columns."""

    def isatty(self):
        return True

    def fileno(self):
        return 1


@pytest.fixture
def surroundings(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((93, 40)))

    def surround(**variables):
        for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "JPY_PARENT_PID", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return surround


PLACES = [
    # terminal, environment, what it can show
    (True, {}, Screen(True, True, 93)),
    (True, {"NO_COLOR": "1"}, Screen(True, False, 93)),
    (True, {"NO_COLOR": ""}, Screen(True, True, 93)),  # https://no-color.org: only if it is not empty
    (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, Screen(True, False, 93)),
    (True, {"TERM": "dumb"}, Screen(False, False, 93)),
    (True, {"COLUMNS": "60"}, Screen(True, True, 60)),
    (True, {"COLUMNS": "wide"}, Screen(True, True, 93)),
    (False, {}, Screen(False, False, UNLIMITED)),
    (False, {"FORCE_COLOR": "1"}, Screen(False, True, UNLIMITED)),
    (False, {"FORCE_COLOR": "0"}, Screen(False, False, UNLIMITED)),
    (False, {"COLUMNS": "80"}, Screen(False, False, 80)),
    # a kernel sets FORCE_COLOR, and `!lm-jax` runs in a terminal that nobody looks at
    (False, {"JPY_PARENT_PID": "7", "FORCE_COLOR": "1"}, Screen(False, False, 80)),
    (True, {"JPY_PARENT_PID": "7", "FORCE_COLOR": "1"}, Screen(False, False, 80)),
]


@pytest.mark.parametrize("terminal,variables,expected", PLACES)
def test_what_an_output_can_show(terminal, variables, expected, surroundings):
    surroundings(**variables)
    assert screen_of(Terminal() if terminal else io.StringIO()) == expected


@pytest.mark.parametrize("terminal,variables,expected", PLACES)
def test_the_console_does_as_its_output_can(terminal, variables, expected, surroundings, monkeypatch):
    surroundings(**variables)
    monkeypatch.setattr(sys, "stdout", Terminal() if terminal else io.StringIO())
    file = io.StringIO()
    console = make_console(file)
    print_line(console, "text", "bold cyan")
    assert console.is_terminal == expected.moving and console.width == expected.width
    assert ("\x1b[" in file.getvalue()) == expected.colour and "text" in file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_words_are_not_cut(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    file = io.StringIO()
    words = ["a" * 7, "long" * 60, *["word"] * 40, "[bold]", ":smile:"]
    print_line(make_console(file), " ".join(words))
    assert file.getvalue().split() == words
    lines = file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines if "longlong" not in line)
    assert [line for line in lines if "longlong" in line] == ["long" * 60] and len(lines) > 3
    file.seek(0)
    file.truncate()
    print_unbroken(make_console(file), " ".join(words))
    assert file.getvalue() == " ".join(words) + "\n"


def test_a_line_goes_on_with_its_indent(monkeypatch):
    monkeypatch.setenv("COLUMNS", "12")
    for text, expected in (
        ("  | ab cd ef gh\n\n  ab  cd efg h", "  | ab cd ef\n  | gh\n\n  ab  cd efg\n  h\n"),
        ("日本語 日本語 a", "日本語\n日本語 a\n"),  # two columns each
        ("", "\n"),
    ):
        file = io.StringIO()
        print_line(make_console(file), text)
        assert file.getvalue() == expected


def test_control_codes_are_written_out():
    every = "".join(map(chr, range(160)))
    kept = [character for character in visible(every) if ord(character) < 32 or 127 <= ord(character) < 160]
    assert kept == ["\t", "\n"]
    assert visible("a\x1b[31mb\r\u00e9 日") == "a\\x1b[31mb\\x0d\u00e9 日" and one_line("a\nb\x07") == "a\\nb\\x07"


def test_a_terminal_gets_no_codes_and_a_file_the_text(monkeypatch, capsys):
    say("a\x1b[2Jb")
    assert capsys.readouterr().out == "a\x1b[2Jb\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    say("a\x1b[2Jb", end="")
    assert terminal.getvalue() == shown("a\x1b[2Jb") == "a\\x1b[2Jb"


def test_an_error_is_one_line_without_codes(command, tmp_path):
    code, _, err = command("score", tmp_path, "a\x1b]0;title\x07\nb")
    assert code == 2 and err.count("\n") == 1 and "\x1b" not in err and "\x07" not in err


REAL = """
from lm_jax.cli.screen import *
console = make_console()
print_line(console, 'text\\x1b[2J', 'bold')
print(console.is_terminal)
"""


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"JPY_PARENT_PID": "1"}])
def test_a_real_terminal(variables):
    ours, theirs = pty.openpty()
    rest = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    environment = {**rest, "TERM": "xterm-256color", **variables}
    subprocess.run([sys.executable, "-c", REAL], stdout=theirs, env=environment, check=True)
    os.close(theirs)
    text = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "text\\x1b[2J" in text and "\x1b[2J" not in text
    assert ("\x1b[1m" in text) == (not variables)
    assert ("True" in text) == ("JPY_PARENT_PID" not in variables)
