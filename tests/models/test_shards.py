"""Counting in shards on disk gives what counting in memory gives, and takes no more memory than it is given."""

import tempfile
import tracemalloc

import numpy as np
import pytest

from lm_jax.errors import UserError
from lm_jax.models.ngram import ESTIMATORS, count_ngrams, estimate
from lm_jax.models.ngram.score_text import text_log_probs
from lm_jax.models.ngram.shards import BYTES_A_TOKEN, SMALLEST_BLOCK, count_in_shards
from lm_jax.models.ngram.storage import save_tables


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


@pytest.mark.parametrize("prune_counts", [(), (0, 0, 1), (0, 1, 2)])
@pytest.mark.parametrize("method", ESTIMATORS)
def test_the_model_is_the_same(method, prune_counts):
    """An estimator works on some contexts at a time, with the same bits: here on 500, of 256 bytes for each row."""
    text, options = TEXTS["many types"], {"method": method, "held_out": TEXTS["few types"][:400]}
    if method != "maximum-likelihood":
        options["prune_counts"] = prune_counts
    expected, notes = estimate(text, 4, 1000, 0, **options)
    params, same_notes = estimate(text, 4, 1000, 0, max_memory=SMALLEST, **options)
    assert notes == same_notes and params.log_missing == expected.log_missing
    for field in ("words", "log_prob", "log_backoff", "child_start"):
        for one, other in zip(getattr(params, field), getattr(expected, field), strict=True):
            np.testing.assert_array_equal(one, other, err_msg=field)
            assert one.dtype == other.dtype


def test_a_long_held_out_text_is_cut_to_what_there_is_room_for():
    _, notes = estimate(
        TEXTS["many types"], 2, 1000, 0, method="jelinek-mercer", held_out=TEXTS["few types"], max_memory=SMALLEST
    )
    assert notes[0].endswith("learnt from the first 1,000 of 3,000 held-out tokens")


@pytest.mark.parametrize(
    "method, prune_counts",
    [
        *(("modified-kneser-ney", ()), ("katz", ()), ("witten-bell", ()), ("jelinek-mercer", ())),
        *(("modified-kneser-ney", (0, 0, 1)), ("katz", (0, 0, 1)), ("stupid-backoff", (0, 0, 1))),
    ],
)
def test_memory_does_not_grow_with_the_tables(tmp_path, method, prune_counts):
    """Of a text whose n-grams occur once, the tables in memory are a multiple of it."""
    text = np.random.default_rng(2).integers(0, 2000, 400_000).astype(np.int32)
    allowed, held_out = 4 * 2**20, text[:5000]

    def peak(**options):
        tracemalloc.start()
        try:
            params = estimate(
                text, 4, 2000, 0, method=method, held_out=held_out, prune_counts=prune_counts, **options
            ).params
            return tracemalloc.get_traced_memory()[1], params
        finally:
            tracemalloc.stop()

    (bounded, params), (free, expected) = peak(max_memory=allowed), peak()
    assert bounded < allowed < free / 10
    tokens = held_out[:100]
    np.testing.assert_array_equal(text_log_probs(params, tokens, 0), text_log_probs(expected, tokens, 0))
    for number, tables in enumerate((params, expected)):
        save_tables(tmp_path / f"{number}.npz", tables)
    assert (tmp_path / "0.npz").read_bytes() == (tmp_path / "1.npz").read_bytes()


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
