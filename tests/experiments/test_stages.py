"""Training that pauses at stages: the same parameters as without pauses, and as after a stop."""

import jax
import numpy as np
import pytest

from experiments.harness.stages import states
from lm_jax.config import TrainConfig, from_flat
from lm_jax.data import load_corpus
from lm_jax.runs.setup import set_up
from lm_jax.tasks import task_of


@pytest.fixture
def setup(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 60)
    settings = {"data": str(text), "hidden_size": 4, "embedding_size": 3, "batch_size": 4, "bptt": 8}
    config = from_flat(TrainConfig, settings)
    return set_up(task_of(config), config, load_corpus(str(text)), 100)


def parameters(setup, stages, **saved):
    return {stage: jax.tree.map(np.array, params) for stage, params in states(setup, stages, **saved)}


def test_stages_are_those_of_training_without_a_pause(setup):
    last = setup.batches.steps_per_epoch + 3  # in the second epoch
    found = parameters(setup, (0, 2, last))
    assert list(found) == [0, 2, last]
    jax.tree.map(np.testing.assert_array_equal, found[last], parameters(setup, (last,))[last])


def test_training_goes_on_from_what_was_saved(setup, tmp_path):
    whole = parameters(setup, (5,))[5]
    parameters(setup, (4,), folder=tmp_path / "states", save_every=2)
    later = parameters(setup, (1, 5), folder=tmp_path / "states", save_every=2)
    assert list(later) == [5]  # 1 is behind
    jax.tree.map(np.testing.assert_array_equal, later[5], whole)
