"""Encoded corpora on disk: read instead of built, whole or not at all, and never in the way."""

import json
import threading

import numpy as np
import pytest

from lm_jax.data import Vocabulary, corpora, encoding_cache, load_corpus
from lm_jax.data.encoding_cache import cached_encoding
from lm_jax.data.mapped_archive import map_arrays, save_arrays


KEY = {"text": "0123", "level": "word", "options": [1, None], "vocabulary": None}
VOCABULARY = Vocabulary("word", ("naïve", "</s>"), merges="kept too")
ARRAYS = {"train": np.arange(1000, dtype=np.int32) % 2, "valid": np.zeros(3, np.int32), "test": np.ones(1, np.int32)}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of entries, in this test's own place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lm_jax" / "tokens"


class Builder:
    """Counts how often something had to be built."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return VOCABULARY, ARRAYS


def assert_whole(result):
    vocabulary, arrays = result
    assert vocabulary == VOCABULARY and arrays.keys() == ARRAYS.keys()
    for split, tokens in ARRAYS.items():
        np.testing.assert_array_equal(arrays[split], tokens)
        assert arrays[split].dtype == np.int32


def entries(folder):
    """Everything in the cache: one folder a corpus, and nothing half built."""
    return sorted(path.name for path in folder.iterdir())


def test_the_second_time_it_is_read(folder):
    builder = Builder()
    for _ in range(3):
        assert_whole(cached_encoding(KEY, builder))
    assert builder.calls == 1 and len(entries(folder)) == 1


def test_the_order_of_a_key_does_not_matter():
    builder = Builder()
    cached_encoding(KEY, builder)
    cached_encoding(dict(reversed(KEY.items())), builder)
    assert builder.calls == 1


@pytest.mark.parametrize(
    "change", [{"text": "0124"}, {"level": "bpe"}, {"options": [2, None]}, {"options": [1, 9]}, {"vocabulary": "ab"}]
)
def test_another_key_is_another_entry(change, folder):
    builder = Builder()
    cached_encoding(KEY, builder)
    assert_whole(cached_encoding(KEY | change, builder))
    assert builder.calls == 2 and len(entries(folder)) == 2


def test_another_format_is_another_entry(folder, monkeypatch):
    builder = Builder()
    cached_encoding(KEY, builder)
    monkeypatch.setattr(encoding_cache, "FORMAT", encoding_cache.FORMAT + 1)
    cached_encoding(KEY, builder)
    assert builder.calls == 2 and len(entries(folder)) == 2


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_a_byte(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def change_a_token(path):
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"tokens": ["other", "</s>"]}))


DAMAGE = {
    "no tokens": ("tokens.npz", lambda path: path.unlink()),
    "empty tokens": ("tokens.npz", lambda path: path.write_bytes(b"")),
    "tokens cut short": ("tokens.npz", cut_short),
    "a changed bit of tokens": ("tokens.npz", change_a_byte),
    "tokens that are no archive": ("tokens.npz", lambda path: path.write_bytes(b"text" * 99)),
    "no vocabulary": ("vocabulary.json", lambda path: path.unlink()),
    "empty vocabulary": ("vocabulary.json", lambda path: path.write_bytes(b"")),
    "vocabulary cut short": ("vocabulary.json", cut_short),
    "another JSON": ("vocabulary.json", lambda path: path.write_text("[1, 2]")),
    "another vocabulary": ("vocabulary.json", change_a_token),
}


def test_large_tokens_are_a_map_of_the_file(folder, monkeypatch):
    monkeypatch.setattr(encoding_cache, "MAPPED_FROM", 0)
    builder = Builder()
    for _ in range(2):
        found = cached_encoding(KEY, builder)
        assert_whole(found)
        assert isinstance(found[1]["train"], np.memmap) and not found[1]["train"].flags.writeable
    assert builder.calls == 1


def test_what_cannot_be_mapped_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(9))
    with pytest.raises(ValueError, match=r"x\.npy is compressed"):
        map_arrays(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=np.array([{}]))
    with pytest.raises(ValueError, match="array of objects"):
        map_arrays(tmp_path / "b.npz")
    expected = {"x": np.arange(6.0).reshape(2, 3), "long name": np.zeros((0, 2), np.int8), "one": np.array(7)}
    np.savez(tmp_path / "c.npz", **expected)
    found = map_arrays(tmp_path / "c.npz")
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("mapped_from", [2**26, 0], ids=["read", "mapped"])
@pytest.mark.parametrize(("name", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_built_anew(name, damage, mapped_from, folder, monkeypatch):
    monkeypatch.setattr(encoding_cache, "MAPPED_FROM", mapped_from)
    builder = Builder()
    cached_encoding(KEY, builder)
    (path,) = folder.glob(f"*/{name}")
    damage(path)
    assert_whole(cached_encoding(KEY, builder))
    assert builder.calls == 2
    assert_whole(cached_encoding(KEY, builder))
    assert builder.calls == 2 and len(entries(folder)) == 1


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    builder = Builder()
    assert_whole(cached_encoding(KEY, builder))
    assert_whole(cached_encoding(KEY, builder))
    assert builder.calls == 2 and (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("fails", ["lm_jax.data.encoding_cache.save_arrays", "os.rename", "tempfile.mkdtemp"])
def test_a_disk_that_is_full_costs_nothing_and_nothing_is_left(fails, folder, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    builder = Builder()
    with monkeypatch.context() as patch:
        patch.setattr(fails, fail)
        assert_whole(cached_encoding(KEY, builder))
        assert entries(folder) == []
    assert_whole(cached_encoding(KEY, builder))
    assert builder.calls == 2 and len(entries(folder)) == 1


def test_an_error_of_the_builder_leaves_nothing(folder):
    def build():
        raise ValueError("no such word")

    with pytest.raises(ValueError, match="no such word"):
        cached_encoding(KEY, build)
    assert not folder.exists()


def test_two_that_build_at_once_both_get_it(folder):
    """They wait for each other inside of the building, so neither can find what the other made."""
    barrier, results = threading.Barrier(4, timeout=30), []

    def build():
        barrier.wait()
        return VOCABULARY, ARRAYS

    threads = [threading.Thread(target=lambda: results.append(cached_encoding(KEY, build))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and len(entries(folder)) == 1
    for result in (*results, cached_encoding(KEY, Builder())):
        assert_whole(result)


@pytest.fixture
def text(tmp_path):
    """A folder of three texts."""
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text("a b <unk>\nb a\n" * 3)
    return str(tmp_path)


def test_a_long_corpus_is_read_from_the_cache(text, folder, monkeypatch):
    monkeypatch.setattr(corpora, "CACHE_FROM", 1)
    first = load_corpus(text, "word", max_vocab=4)
    others = [load_corpus(text, "word", max_vocab=5), load_corpus(text, "char"), load_corpus(text, "byte")]
    given = load_corpus(text, "word", first.vocabulary, max_vocab=4)
    assert len(entries(folder)) == 5 and len({other.vocabulary.sha256 for other in others}) == 3
    monkeypatch.setattr(corpora, "build_vocabulary", lambda *_: pytest.fail("built again"))
    monkeypatch.setattr(Vocabulary, "encode", lambda *_: pytest.fail("encoded again"))
    again = load_corpus(text, "word", max_vocab=4)
    for corpus in (again, given, load_corpus(text, "word", first.vocabulary, max_vocab=4)):
        assert corpus.vocabulary == first.vocabulary and corpus.sha256 == first.sha256
        assert corpus.characters == first.characters and corpus.bytes == first.bytes
        np.testing.assert_array_equal(corpus.train, first.train)


def test_a_short_corpus_is_not_kept(text, folder):
    load_corpus(text, "word")
    assert not folder.exists()


def test_an_archive_is_the_one_that_numpy_writes(tmp_path):
    arrays = {"a": np.arange(10, dtype=np.int32), "b": np.float32(0.5), "c": np.zeros((3, 2)), "d": np.zeros(0, bool)}
    np.savez(tmp_path / "expected.npz", **arrays)
    with open(tmp_path / "found.npz", "wb") as file:
        save_arrays(file, arrays)
    assert (tmp_path / "found.npz").read_bytes() == (tmp_path / "expected.npz").read_bytes()
