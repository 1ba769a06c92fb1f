"""Numbers that are none inside classifiers, taggers and translators, planted where the answer is known."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.analysis.first_nonfinite_encoder import first_nonfinite_encoder
from lm_jax.cells import gru, lstm
from lm_jax.encoders import bidirectional, stacked_encoder, unidirectional
from lm_jax.models.classifier import classifier


TIME, ROWS, WORDS, BAD = 7, 3, 6, 5


def model_of(encoder):
    return classifier(WORDS, 2, encoder)


ENCODERS = {
    "one": unidirectional(lstm(4, 4)),
    "two layers": stacked_encoder([bidirectional(gru(4, 3), gru(4, 3)), bidirectional(lstm(6, 3), lstm(6, 3))]),
}


def batch(time, row):
    """Rows of 7, 5 and 7 words; the word 5 stands at one place."""
    inputs = np.random.default_rng(0).integers(0, BAD, (TIME, ROWS)).astype(np.int32)
    inputs[time, row] = BAD
    mask = np.ones((TIME, ROWS), bool)
    mask[5:, 1] = False
    return jnp.asarray(inputs), jnp.asarray(mask)


def find(encoder, change, time=3, row=1):
    model = model_of(ENCODERS[encoder])
    params = change(model.init(jax.random.key(0)))
    inputs, mask = batch(time, row)
    labels = jnp.zeros(ROWS, int)
    return first_nonfinite_encoder(model.opened, params, inputs, mask, labels, jnp.ones((1, ROWS), bool))


def nan_in_embedding(params):
    return params.replace(embedding=params.embedding.at[BAD, 1].set(jnp.nan))


def nan_in_second_layer(params, side):
    """In the output gate of the layer that reads the other's outputs, of one side."""
    first, second = params.encoder
    cell = getattr(second, side)
    cell = cell.replace(b=cell.b.at[9].set(jnp.nan))
    return params.replace(encoder=(first, dataclasses.replace(second, **{side: cell})))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(("time", "row"), [(0, 2), (3, 1), (6, 0)])
def test_an_embedding_is_named_with_step_and_row(encoder, time, row):
    found = find(encoder, nan_in_embedding, time, row)
    assert (found.tensor, found.time, found.row, found.layer) == ("embedded input", time, row, None)
    assert math.isnan(found.value)


def test_padding_is_not_looked_at():
    assert find("two layers", nan_in_embedding, 6, 1) is None
    assert find("one", lambda params: params) is None


@pytest.mark.parametrize(("side", "time", "words"), [("forward", 0, ""), ("backward", 6, " from right to left")])
def test_a_layer_is_named_at_the_first_step_that_it_reads(side, time, words):
    """The first row of those that the cell reads at its first step."""
    found = find("two layers", lambda params: nan_in_second_layer(params, side))
    assert (found.tensor, found.layer, found.time, found.row) == (f"carry h{words}", 2, time, 0)


def test_the_softmax_is_named_without_a_step():
    found = find("one", lambda params: params.replace(out=jax.tree.map(lambda leaf: leaf * jnp.nan, params.out)))
    assert (found.tensor, found.time, found.row, found.layer) == ("log P(answer)", None, 0, None)
