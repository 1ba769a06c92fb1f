"""The study of lengths: from where on an engine is faster, and whether "auto" chooses it."""

import pytest

from experiments.recurrences.length_findings import chosen_as_measured, faster_from, growth, to_rows
from lm_jax.cells.engines import from_length


def one(cell, length, batch, **seconds):
    taken = {engine: {"outputs": s, "with gradients": s} for engine, s in seconds.items()}
    return {"cell": cell, "length": length, "batch": batch, "difference": 0.0, "seconds": taken}


ROWS = to_rows(
    [one("mingru", length, 1, scan=1.0, associative=s) for length, s in ((64, 0.5), (256, 2.0), (1024, 0.9))]
    + [one("lru", length, 1, scan=1.0, associative=s) for length, s in ((64, 0.5), (256, 2.0), (1024, 0.5))]
    + [one("mlstm", length, 1, scan=1.0, chunkwise=0.2) for length in (64, 256, 1024)]
    + [one("attention", length, 1, pieces=s) for length, s in ((64, 0.1), (1024, 1.0), (4096, 6.0))]
)


def test_an_engine_is_faster_from_the_length_on_beyond_which_the_loop_never_wins():
    assert faster_from(ROWS, "associative") == 1024  # not 64: at 256 the loop is faster
    assert faster_from(ROWS, "chunkwise") == 64
    assert faster_from([row for row in ROWS if row["length"] < 1024], "associative") is None


@pytest.mark.parametrize(("prefix", "chunks", "agree"), [(1024, 2, True), (None, 2, False), (1024, 256, False)])
def test_the_choice_is_compared_with_what_was_measured(prefix, chunks, agree, monkeypatch):
    monkeypatch.setitem(from_length.FASTER_FROM, "tested", {"associative": prefix, "chunkwise": chunks})
    found, holds = chosen_as_measured(ROWS, "tested")
    assert holds is agree and f"chunkwise from {chunks} steps on, measured 64" in found
    assert ("associative never" in found) == (prefix is None)


def test_a_layer_without_a_loop_has_no_speed_beside_one():
    assert [row["times the loop's speed"] for row in ROWS if row["cell"] == "attention"] == [None] * 3
    assert growth(ROWS) == [pytest.approx(6.0 / 4096 * 1024)]
