"""Files that are whole or not there, and that nothing in the package writes in another way."""

import ast
import errno
import json
import math
import os
import resource
from pathlib import Path

import pytest

from lm_jax.files import append_line, replacing, write_text
from lm_jax.runs.folder import read_lines
from lm_jax.strict_json import to_json, write_json
from lm_jax.training.history import History


ROOT = Path(__file__).parents[1] / "lm_jax"


@pytest.fixture
def limited():
    """A limit of 1 KiB on the size of a file, which stands for a quota and a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, limited):
    write_text(tmp_path / "a.json", "old")
    limited()
    with pytest.raises(OSError, match="File too large"):
        write_text(tmp_path / "a.json", "new" * 1000)
    assert (tmp_path / "a.json").read_text() == "old" and os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("operation", ["replace", "fsync"])
def test_so_does_one_that_fails_at_its_end(tmp_path, monkeypatch, operation):
    write_text(tmp_path / "a.json", "old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, operation, full)
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "a.json", {"new": 1})
    assert (tmp_path / "a.json").read_text() == "old" and os.listdir(tmp_path) == ["a.json"]


def test_a_block_that_raises_writes_nothing(tmp_path):
    with pytest.raises(KeyError), replacing(tmp_path / "a") as file:
        file.write(b"half")
        raise KeyError
    assert not os.listdir(tmp_path)


def test_a_file_system_that_cannot_sync_is_written_all_the_same(tmp_path, monkeypatch):
    def refuse(number):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    write_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").read_text() == "{}\n"


def test_a_pipe_is_written_as_it_comes():
    read, write = os.pipe()
    write_text(f"/proc/self/fd/{write}", "text")
    assert os.read(read, 9) == b"text"
    os.close(read)
    os.close(write)


def test_a_line_that_cannot_be_added_is_taken_back(tmp_path, limited):
    """Or the next line would be appended to half of it."""
    append_line(tmp_path / "a.jsonl", "first")
    limited()
    with pytest.raises(OSError, match="File too large"):
        append_line(tmp_path / "a.jsonl", "x" * 2000)
    append_line(tmp_path / "a.jsonl", "second")
    assert (tmp_path / "a.jsonl").read_text() == "first\nsecond\n"


def test_text_is_utf_8_whatever_the_locale(tmp_path, monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    write_text(tmp_path / "a", "é\n\ud800")
    append_line(tmp_path / "a", "café")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\n\\ud800caf\xc3\xa9\n"


def test_bad_lines_of_a_log_are_left_out_and_the_others_are_not(tmp_path):
    good = [{"step": 5, "loss": 1.0}, {"step": 10}, {"step": 15}]
    lines = [json.dumps(good[0]), '{"step": 7', json.dumps(good[1]), "[1]", "3", '{"stop": 9}', '{"step": "9"}']
    lines += ["\0\0", json.dumps(good[2]), "\udcff", '{"step": 2']
    (tmp_path / "log").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    assert read_lines(tmp_path / "log") == good


def test_a_history_is_strict_json_and_comes_back():
    history = History(2.0, 5, 1, False, [math.inf, 2.0, -math.inf, math.nan])
    text = to_json(history.to_record())
    again = History.from_record(json.loads(text, parse_constant=lambda word: pytest.fail(word)))
    assert again.valid_losses[:3] == [math.inf, 2.0, -math.inf] and math.isnan(again.valid_losses[3])
    assert (again.best_valid_loss, again.best_step, again.misses) == (2.0, 5, 1)
    assert "null" not in text


# what opens a file by itself: the one function for it, and a test of whether a folder can be written
WRITERS = {"files.py", "cli/output.py"}
WRITERS |= {
    "mapped.py",
    "data/mapped_archive.py",
}  # columns in a temporary folder; members of a file that is handed over
HASHES = {"data/labelled.py", "data/tag_vocabulary.py", "data/encoding_cache.py", "data/vocabulary.py"}
HASHES |= {"data/parallel.py", "data/parallel_vocabulary.py", "data/label_vocabulary.py"}
NOT_FILES = {"interop/arpa.py", "training/processes.py", "strict_json.py"}  # a comment, a message, the one for files


def writes(tree):
    """The lines that open a file for writing, or hand a path to what does."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        of_object = isinstance(node.func, ast.Attribute)
        words = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
        modes = [
            word for word in words if isinstance(word, str) and set(word) <= set("rwaxbt+") and set(word) & set("wax+")
        ]
        first = getattr(node.args[0], "id", "") if node.args else ""
        opens = name in ("open", "GzipFile", "fdopen") and modes and "fileobj" not in [k.arg for k in node.keywords]
        hands = name in ("savefig", "savez", "savez_compressed", "save_file", "dump") and first not in ("file", "part")
        if opens or hands or (of_object and name in ("write_text", "write_bytes")):
            yield node.lineno


def test_nothing_else_opens_files_for_writing():
    found = {
        f"{path.relative_to(ROOT).as_posix()}:{line}"
        for path in ROOT.rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in WRITERS
        for line in writes(ast.parse(path.read_text()))
    }
    assert found == set()


def test_nothing_else_makes_json():
    makers = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if "json.dumps(" in path.read_text()}
    assert makers == HASHES | NOT_FILES


def test_what_writes_is_found():
    asked = 'open(p, "w")\np.open("ab")\np.write_text(x)\nnp.savez(p)\nf.savefig(p)\njson.dump(x, p)\n'
    asked += 'open(p)\nopen(p, "rb")\nnp.savez(file)'
    assert list(writes(ast.parse(asked))) == [1, 2, 3, 4, 5, 6]
