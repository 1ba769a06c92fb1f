"""Counting in shards on disk gives what counting in memory gives, and takes no more memory than it is given."""

import tempfile
import tracemalloc

import numpy as np
import pytest

from lm_jax.errors import UserError
from lm_jax.models.ngram import count_ngrams, estimate
from lm_jax.models.ngram.shards import BYTES_A_TOKEN, SMALLEST_BLOCK, count_in_shards


SMALLEST = BYTES_A_TOKEN * SMALLEST_BLOCK
rng = np.random.default_rng(0)
TEXTS = {
    "few types": rng.integers(0, 5, 3 * SMALLEST_BLOCK).astype(np.int32),
    "a last token alone": rng.integers(0, 50, 4 * SMALLEST_BLOCK + 1).astype(np.int32),
    "many types": rng.zipf(1.3, 20 * SMALLEST_BLOCK).clip(0, 999).astype(np.int32),
    "one line": rng.integers(1, 9, 2 * SMALLEST_BLOCK + 7).astype(np.int32),
    "no words": np.zeros(3 * SMALLEST_BLOCK, np.int32),
    "one token": np.array([3], np.int32),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("blocks", [1, 2.7])
def test_tables_are_equal_to_the_last_bit(text, order, blocks):
    vocab_size = int(text.max()) + 1
    expected = count_ngrams(text, order, vocab_size, 0)
    tables = count_in_shards(text, order, vocab_size, 0, int(SMALLEST * blocks))
    assert len(tables) == len(expected) == order
    for one, other in zip(tables, expected, strict=True):
        for name, a, b in zip(one._fields, one, other, strict=True):
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_the_model_is_the_same():
    text = TEXTS["many types"]
    expected = estimate(text, 3, 1000, 0).params
    params = estimate(text, 3, 1000, 0, max_memory=SMALLEST).params
    for one, other in zip(params.log_prob + params.words, expected.log_prob + expected.words, strict=True):
        np.testing.assert_array_equal(one, other)


def test_working_memory_is_bounded(tmp_path):
    """A text of 8 MB on disk, most of whose n-grams occur often: its tables are small, its counting is not."""
    path = tmp_path / "tokens"
    np.random.default_rng(1).integers(0, 30, 2_000_000).astype(np.int32).tofile(path)
    text = np.memmap(path, np.int32, "r")

    def peak(count):
        tracemalloc.start()
        try:
            count()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    allowed = 8 * 2**20
    assert peak(lambda: count_in_shards(text, 3, 30, 0, allowed)) < 1.5 * allowed
    assert peak(lambda: count_ngrams(text, 3, 30, 0)) > 5 * allowed


def test_the_disk_is_left_clean(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    count_in_shards(TEXTS["many types"], 3, 1000, 0, SMALLEST)
    assert not list(tmp_path.iterdir())


def test_too_little_memory_is_refused():
    with pytest.raises(UserError, match=f"at least {SMALLEST:,} bytes, got {SMALLEST - 1:,}"):
        count_in_shards(TEXTS["one line"], 2, 9, 0, SMALLEST - 1)
