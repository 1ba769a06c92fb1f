"""What is no regular file, has no end or is larger than it may be is refused at once, before memory is taken."""

import io
import os
import threading
from pathlib import Path

import pytest

from lm_jax.input_files import BLOCK, bounded_lines, open_regular, read_bounded, read_input


def test_a_regular_file_is_read_whole_and_up_to_the_limit(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(bytes(range(256)) * 10)
    assert read_input(path) == read_input(path, 2560) == path.read_bytes()
    with open_regular(path) as file:
        assert file.read() == path.read_bytes()
    with pytest.raises(OSError, match="more than 2,559 bytes"):
        read_input(path, 2559)


def test_a_file_that_claims_more_bytes_than_the_machine_has_is_refused_unread(tmp_path):
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 1 << 43)  # 8 TiB that take no room
    with pytest.raises(OSError, match="more than"):
        read_input(path)


@pytest.mark.parametrize("read", [read_input, open_regular])
@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/dev/urandom", "folder", "missing"])
def test_what_is_no_file_is_refused_at_once(tmp_path, read, kind):
    path = Path(kind) if kind.startswith("/") else tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)  # that nobody writes to: opening it as a file would wait for ever
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(OSError) as refused:
        read(path)
    assert refused.value.strerror


def test_a_pipe_with_a_writer_is_read_to_its_end(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"word\n" * 50_000))
    end = os.open(path, os.O_RDWR)  # a writer from the beginning, so that the reader need not come second
    writer.start()
    closer = threading.Thread(target=lambda: (writer.join(), os.close(end)))
    closer.start()
    assert read_input(path) == b"word\n" * 50_000
    closer.join()
    with pytest.raises(OSError, match="no regular file"):
        open_regular(path)


def test_endless_input_is_refused_after_the_limit():
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size=-1):
            Endless.taken += size
            return b"a" * size

    with pytest.raises(OSError, match=r"more than 5,000,000 bytes"):
        read_bounded(Endless(), 5_000_000)
    assert Endless.taken <= 5_000_000 + BLOCK


def test_lines_have_bounds():
    assert list(bounded_lines(io.BytesIO(b"a\nbb\nccc"), 8)) == [b"a\n", b"bb\n", b"ccc"]
    with pytest.raises(OSError, match="more than 100 times"):
        list(bounded_lines(io.BytesIO(b"a\nbb\nccc"), 7))
    with pytest.raises(OSError, match="a line of more than 2 bytes"):
        list(bounded_lines(io.BytesIO(b"a\nbb\n"), 9, longest=2))
