"""Output that fails: a training goes on in silence, and every verb prints what the terminal can show."""

import errno
import io
import os
import subprocess
import sys

import pytest

from lm_jax.cli.output import UntilClosed
from tests.cli.test_console import START, TrainingConsole, report


PRINTS = """
import lm_jax.cli.main as main, sys, types
sys.modules["lm_jax.cli.doctor"] = types.SimpleNamespace(main=lambda argv: print("caf\\u00e9 \\u6f22 \\udc80", *argv))
main.main()
"""


def lm_jax(*words, **options):
    """A verb that prints one line of characters that few terminals have, in a process of its own."""
    return subprocess.run([sys.executable, "-c", PRINTS, "doctor", *words], stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("cp1252", b"caf\xe9 ? ?\n"), ("ascii", b"caf? ? ?\n"), ("utf-8", "café 漢 ?\n".encode())],
)
def test_a_character_that_the_terminal_lacks_is_replaced(encoding, expected):
    result = lm_jax(env={**os.environ, "PYTHONIOENCODING": encoding}, stdout=subprocess.PIPE)
    assert (result.returncode, result.stdout, result.stderr) == (0, expected, b"")


def test_closed_streams_are_none():
    command = ["bash", "-c", 'exec "$@" >&- <&- 2>&-', "x", sys.executable, "-c", PRINTS, "doctor"]
    assert subprocess.run(command).returncode == 0


def test_a_full_output_is_one_line():
    with open("/dev/full", "w") as full:
        result = lm_jax(stdout=full)
    assert result.returncode == 1
    assert result.stderr.decode().splitlines() == [
        "error: the machine must do what the command needs, got No space left on device"
    ]
    with open("/dev/full", "w") as full:
        assert b"Traceback" in lm_jax("--debug", stdout=full).stderr


def test_arguments_that_are_no_text_are_one_line():
    result = lm_jax(b"caf\xe9", stdout=subprocess.PIPE, env={**os.environ, "PYTHONUTF8": "1"})
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.decode().splitlines() == ["error: arguments must be text in utf-8, got b'caf\\xe9'"]


class Failing(io.StringIO):
    """A stream that refuses: a closed terminal, a full disk, a reader that went away, a closed file."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error


FAILURES = [OSError(errno.EIO, "Input/output error"), OSError(errno.ENOSPC, "No space left"), BrokenPipeError()]


@pytest.mark.parametrize("error", [*FAILURES, ValueError("I/O operation on closed file")], ids=repr)
def test_a_console_outlives_its_output(monkeypatch, error):
    console = TrainingConsole()
    monkeypatch.setattr(sys, "stdout", Failing(error))
    console.on_start(START)
    console.on_report(report())
    assert UntilClosed().write("text") == 4
    UntilClosed().flush()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_console_prints_what_its_output_can_show(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert UntilClosed().write("a ± 漢\n") == 6
    UntilClosed().flush()
    assert raw.getvalue() == "a ± ?\n".encode(encoding, "replace")
