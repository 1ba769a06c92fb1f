"""Pieces of the streams: the rows of the whole layout, whatever their number, and every chunk in one of them."""

import sys

import numpy as np
import pytest

from lm_jax.data.batching import Batches
from lm_jax.data.pieces import Pieces


CASES = {
    "stream": {},
    "sentence": {"mode": "sentence"},
    "random lengths": {"random_bptt": True},
    "random lengths of sentences": {"mode": "sentence", "random_bptt": True},
}


@pytest.mark.parametrize("device_tokens", [1, 3 * 4 * 17, 10**6])
@pytest.mark.parametrize("case", CASES)
def test_pieces_have_the_rows_of_the_whole_epoch(case, device_tokens):
    tokens = np.random.default_rng(0).integers(0, 5, 331).astype(np.int32)
    batches = Batches(tokens, 0, 4, 6, **CASES[case])
    pieces, shapes = Pieces(batches, device_tokens), set()
    for number in (0, 1):
        whole, lengths = batches.epoch(number), batches.chunk_lengths(number)
        place, rows, seen = 0, np.cumsum(lengths) - lengths, 0
        while place < batches.steps_per_epoch:
            piece, until = pieces.at(number, place)
            shapes.add(piece.tokens.shape)
            np.testing.assert_array_equal(piece.lengths, whole.lengths)
            for k in range(place, until):
                first = rows[k] - piece.offset
                assert first >= 0
                np.testing.assert_array_equal(
                    piece.tokens[first : first + lengths[k] + 1], whole.tokens[rows[k] : rows[k] + lengths[k] + 1]
                )
                again, same = pieces.at(number, k)  # also when it is asked for from within
                assert same == until and again.offset == piece.offset
            seen, place = seen + until - place, until
        assert seen == batches.steps_per_epoch
    assert len(shapes) == 1 and next(iter(shapes))[0] <= max(device_tokens // 12, batches.longest_chunk) + 1


def test_the_longest_chunk_is_the_longest():
    tokens = np.zeros(40_000, np.int32)
    for bptt in (1, 2, 6, 35):
        batches = Batches(tokens, 0, 2, bptt, random_bptt=True)
        assert max(batches.chunk_lengths(k).max() for k in range(3)) <= batches.longest_chunk
    assert Batches(tokens, 0, 2, 35).longest_chunk == 35


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_mapped_text_does_not_stay_in_memory(tmp_path):
    np.zeros(1 << 24, np.int32).tofile(tmp_path / "tokens")
    text = np.memmap(tmp_path / "tokens", np.int32, "r")
    batches = Batches(text, 1, 4, 64)
    pieces, place = Pieces(batches, 1 << 18), 0

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    before = resident()
    while place < batches.steps_per_epoch:
        piece, place = pieces.at(0, place)
        assert not piece.tokens[1].any()
    assert resident() < before + text.nbytes / 4
