"""Standard input as a text: what is read, how much of it, and what is refused in one line."""

import io
import os

import pytest

from lm_jax import UserError
from lm_jax.data import load_corpus, standard_input
from lm_jax.data.sources import read_source
from lm_jax.data.standard_input import is_stream


def pipe(monkeypatch, raw):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="latin-1"))


class Terminal(io.StringIO):
    """What a person types into."""

    def isatty(self):
        return True


def test_its_bytes_are_the_text_whatever_the_locale(monkeypatch):
    pipe(monkeypatch, "\ufeffé\r\nb".encode())
    assert read_source("-", "char", "text") == {"all": "é\nb\n"}
    pipe(monkeypatch, b"\xff\n")
    assert read_source("-", "byte", "text") == {"all": b"\xff\n"}


def test_a_corpus_keeps_the_text_that_cannot_be_read_again(monkeypatch, tmp_path):
    raw = "".join(f"line {number} é\n" for number in range(100)).encode()
    pipe(monkeypatch, raw)
    piped = load_corpus("-")
    (tmp_path / "text.txt").write_bytes(raw)
    filed = load_corpus(str(tmp_path / "text.txt"))
    assert (piped.source, piped.sha256, piped.stream) == ("standard input", filed.sha256, raw)
    assert filed.stream is None


def test_a_terminal_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal())
    with pytest.raises(UserError, match=r"got a terminal; for example: cat my.txt \| lm-jax"):
        read_source("-", "char", "text")


@pytest.mark.parametrize("raw", [b"", b" \n"], ids=["nothing", "blank"])
def test_nothing_is_refused(raw, monkeypatch):
    pipe(monkeypatch, raw)
    with pytest.raises(UserError, match="must hold some text, got an empty one: standard input"):
        read_source("-", "char", "text")


def test_no_more_than_the_limit_is_read(monkeypatch):
    monkeypatch.setattr(standard_input, "MOST_MIB", 2)
    pipe(monkeypatch, bytes((2 << 20) + 1))
    with pytest.raises(UserError, match="standard input must be readable, got more than 2,097,152 bytes; give a file"):
        read_source("-", "char", "text")


def test_devices_and_pipes_without_a_writer_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    found = {"/dev/zero": "a device or a socket, which is no regular file"}
    found |= {str(tmp_path / "pipe"): "a pipe that nobody writes to"}
    for path, reason in found.items():
        with pytest.raises(UserError) as caught:
            read_source(path, "char", "text")
        assert str(caught.value) == f"a text file must be readable, got {path}: {reason}"
        assert not is_stream(path)


def test_what_a_shell_has_for_a_command_is_read_once():
    reader, writer = os.pipe()
    os.write(writer, b"a\nb\n")
    os.close(writer)
    name = f"/dev/fd/{reader}"
    assert is_stream(name)
    assert read_source(name, "char", "text") == {"all": "a\nb\n"}
    os.close(reader)
