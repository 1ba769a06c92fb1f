"""Factories remember: equal arguments give one object, lists count as tuples, and the signature stays visible."""

import inspect

import pytest

from lm_jax.caching import cached
from lm_jax.cells import gru, lstm, stacked
from lm_jax.encoders import stacked_encoder, unidirectional
from lm_jax.models import mixture, recurrent_lm, unigram_cache


def test_equal_arguments_give_the_identical_result():
    calls = []

    @cached
    def make(a, *, b=(), c=None):
        calls.append((a, b, c))
        return object()

    assert make(1, b=[2, [3]]) is make(1, b=(2, (3,))) is make(1, b=[2, (3,)])
    assert make(1, b=(2, (4,))) is not make(1, b=(2, (3,)))
    assert calls == [(1, (2, (3,)), None), (1, (2, (4,)), None)]


def test_an_error_is_not_remembered():
    calls = []

    @cached
    def fail(value):
        calls.append(value)
        raise ValueError(value)

    for _ in range(2):
        with pytest.raises(ValueError, match="3"):
            fail(3)
    assert len(calls) == 2


def test_named_tuples_stay_what_they_are():
    """A cell is a tuple too."""

    @cached
    def name_of(cell):
        return type(cell).__name__

    assert name_of(lstm(3, 4)) == "Cell"


def test_signatures_are_visible():
    assert list(inspect.signature(lstm).parameters)[:3] == ["input_size", "hidden_size", "forget_bias"]
    assert inspect.signature(recurrent_lm).parameters["cutoffs"].default == ()
    assert lstm.__doc__.startswith("Makes a long short-term memory")


def test_factories_take_lists_where_they_take_sequences():
    cells = [lstm(3, 4), gru(4, 4)]
    assert stacked(cells) is stacked(tuple(cells), dropout_rate=0.0) is stacked(cells=tuple(cells))
    assert recurrent_lm(9, cells[0], cutoffs=[2, 5]) is recurrent_lm(9, cells[0], cutoffs=(2, 5))
    encoders = [unidirectional(cell) for cell in cells]
    assert stacked_encoder(encoders) is stacked_encoder(tuple(encoders))
    models = [unigram_cache(9, 2), unigram_cache(9, 3)]
    assert mixture(models) is mixture(tuple(models))
