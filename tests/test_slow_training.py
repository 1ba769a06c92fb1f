"""Training on the default corpus learns: with few steps already better than counts."""

import dataclasses

import pytest

import lm_jax
from lm_jax import OptimizerConfig, TrainConfig
from tests.runs.toy import model_config


pytestmark = pytest.mark.slow


def valid_losses(config, folder):
    """Cross-entropy on the validation text of the unigrams, the bigrams and the model."""
    rows = lm_jax.train(config, folder).results.closing.rows
    return [row.cross_entropy for row in rows if row.split == "valid"]


def test_the_default_settings_soon_beat_unigrams(tmp_path):
    """A twentieth of the default run, by half a nat: about half of what bigrams gain."""
    unigram, _, _, model = valid_losses(TrainConfig(steps=100, eval_every=100), tmp_path / "run")
    assert model < unigram - 0.5


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_small_model_beats_bigrams(cell, tmp_path):
    """Some hundred steps of 96 units; a bigram knows one character of context."""
    config = TrainConfig(
        model=model_config(cell=cell, hidden_size=96, embedding_size=32),
        optimizer=dataclasses.replace(OptimizerConfig(), learning_rate=1e-2),
        steps=500,
        eval_every=500,
        bptt=32,
    )
    _, bigram, _, model = valid_losses(config, tmp_path / "run")
    assert model < bigram - 0.05
