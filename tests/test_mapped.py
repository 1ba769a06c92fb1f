"""Maps of files: read in blocks they are what an array in memory is, and their pages do not stay in memory."""

import sys

import numpy as np
import pytest

from lm_jax.mapped import Column, Parts, blocks, is_mapped, release, take


VALUES = np.random.default_rng(0).integers(-9, 9, 1000).astype(np.int32)


@pytest.fixture
def mapped(tmp_path):
    VALUES.tofile(tmp_path / "values")
    return np.memmap(tmp_path / "values", np.int32, "r")


def test_parts_of_a_map_are_maps_and_copies_are_none(mapped):
    assert all(map(is_mapped, (mapped, mapped[3:9], np.asarray(mapped), np.asarray(mapped)[2:])))
    assert not any(map(is_mapped, (VALUES, mapped + 1, mapped.copy().tolist(), None)))


@pytest.mark.parametrize("size", [1, 7, 1000, 4000])
def test_blocks_are_the_array(mapped, size):
    parts = list(blocks(mapped, size))
    np.testing.assert_array_equal(np.concatenate(parts), VALUES)
    assert max(map(len, parts)) == min(size, 1000) and list(blocks(mapped[:0], size)) == []


@pytest.mark.parametrize("size", [1, 7, 1000, 4000])
def test_rows_are_taken_in_any_order(mapped, size):
    rows = np.random.default_rng(1).integers(0, 1000, 300)
    np.testing.assert_array_equal(take(mapped, rows, size), VALUES[rows])
    np.testing.assert_array_equal(take(VALUES, rows, size), VALUES[rows])
    assert take(mapped, rows[:0], size).dtype == np.int32


def test_columns_grow_at_their_end(tmp_path):
    for column in (Column(tmp_path / "column", np.int32), Parts(np.int32)):
        assert column.array().dtype == np.int32 and len(column.array()) == 0
        for part in (VALUES[:10].astype(np.int64), VALUES[10:10], VALUES[10:]):
            column.append(part)
        np.testing.assert_array_equal(column.array(), VALUES)
        assert column.array().dtype == np.int32


@pytest.mark.skipif(sys.platform == "win32", reason="a file in use keeps its name there")
def test_a_column_outlives_the_name_of_its_file(tmp_path):
    column = Column(tmp_path / "column", np.int32)
    column.append(VALUES)
    values = column.array()
    column.path.unlink()
    release(values)
    np.testing.assert_array_equal(values, VALUES)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_pages_that_were_read_are_given_back(tmp_path):
    size = 64 << 20
    column = Column(tmp_path / "column", np.uint8)
    column.append(np.zeros(size, np.uint8))
    values = column.array()
    before = resident()
    values.sum()
    assert resident() > before + 0.9 * size
    release(values)
    assert resident() < before + 0.1 * size
    assert sum(int(part.sum()) for part in blocks(values, 1 << 20)) == 0
    assert resident() < before + 0.1 * size
