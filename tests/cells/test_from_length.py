"""What `recurrence="auto"` reads: a table of measured lengths by device, and what is expected where nothing was."""

import jax
import jax.numpy as jnp
import pytest

from lm_jax import cells
from lm_jax.cells.engines import from_length


def loops(cell, steps):
    """The lengths of the loops that an unroll of so many steps has."""
    params = cell.init(jax.random.key(0))

    def unroll(*arguments):  # anew each time: a program of the same function is kept
        return cell.unroll(*arguments)

    program = jax.make_jaxpr(unroll)(params, cell.initial_carry(params, (1,)), jnp.zeros((steps, 1, 3)))
    return [equation.params["length"] for equation in program.eqns if equation.primitive.name == "scan"]


@pytest.mark.parametrize(("first", "steps", "loop"), [(None, 500, [500]), (64, 63, [63]), (64, 64, []), (1, 9, [])])
def test_a_linear_cell_takes_the_prefix_from_the_length_on_that_the_table_says(first, steps, loop, monkeypatch):
    monkeypatch.setitem(from_length.FASTER_FROM, "cpu", {"associative": first, "chunkwise": 2})
    assert loops(cells.mingru(3, 4), steps) == loops(cells.lru(3, 4), steps) == loop


@pytest.mark.parametrize(("first", "steps", "loop"), [(None, 96, [96]), (2, 96, [3]), (2, 1, [1]), (64, 32, [32])])
def test_a_matrix_memory_goes_in_chunks_from_the_length_on_that_the_table_says(first, steps, loop, monkeypatch):
    monkeypatch.setitem(from_length.FASTER_FROM, "cpu", {"associative": None, "chunkwise": first})
    assert loops(cells.mlstm(3, 4), steps) == loop


def test_a_device_that_was_not_measured_has_what_is_expected(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "another")
    assert not from_length.is_faster("associative", 255)
    assert from_length.is_faster("associative", 256) and from_length.is_faster("chunkwise", 2)
    monkeypatch.setitem(from_length.FASTER_FROM, "another", {"associative": None, "chunkwise": None})
    assert not from_length.is_faster("chunkwise", 10**6)


def test_the_table_knows_both_engines_on_every_device():
    for lengths in (from_length.EXPECTED, *from_length.FASTER_FROM.values()):
        assert set(lengths) == {"associative", "chunkwise"}
        assert all(first is None or first >= 1 for first in lengths.values())
