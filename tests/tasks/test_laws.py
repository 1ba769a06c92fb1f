"""The laws of tasks that train in steps, over every such task and mode, and over the task of the tests."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from lm_jax.errors import UserError
from lm_jax.tasks import TASKS, task_of
from tests.cli.conftest import tree
from tests.runs.toy import toy_config, write_corpus
from tests.tasks.labelled import classify_config
from tests.tasks.parallel import translate_config
from tests.tasks.parity import PARITY, ParityConfig
from tests.tasks.tagged import tag_config


SETTINGS = {
    "recurrent": lambda data: toy_config(data),
    "random lengths": lambda data: toy_config(data, random_bptt=True),
    "sentences": lambda data: toy_config(data, mode="sentence"),
    "window": lambda data: toy_config(data, model="window", window=3),
    "attention": lambda data: toy_config(data, model="attention", context=6),
    "parity": lambda data: ParityConfig(batch_size=16, steps=4),
    "classify": lambda data: classify_config(Path(data).parent / "labelled.tsv"),
    "tag": lambda data: tag_config(Path(data).parent / "tagged.tsv"),
    "translate": lambda data: translate_config(Path(data).parent / "pairs.tsv"),
}


@pytest.fixture(params=SETTINGS)
def task_and_settings(request, tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "parity", PARITY)
    settings = SETTINGS[request.param](write_corpus(tmp_path / "text"))
    return task_of(settings), settings


def with_source(settings, source):
    """The settings with other data."""
    return dataclasses.replace(settings, data=dataclasses.replace(settings.data, data=source))


def assert_equal_trees(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(left, right)


def test_every_task_that_trains_in_steps_is_here(tmp_path):
    settings = [make(write_corpus(tmp_path / "text")) for make in SETTINGS.values()]
    assert {one.task for one in settings} >= {name for name, task in TASKS.items() if task.batches}


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "parity"])  # which reads no data
def test_data_that_cannot_be_used_are_refused_and_nothing_is_written(name, tmp_path):
    settings = SETTINGS[name](write_corpus(tmp_path / "text"))
    task = task_of(settings)
    (tmp_path / "empty.txt").touch()
    before = tree(tmp_path)
    for source in (str(tmp_path / "nowhere"), str(tmp_path / "empty.txt")):
        with pytest.raises(UserError) as caught:
            task.load(with_source(settings, source), None)
        assert source in str(caught.value) and "\n" not in str(caught.value)
    assert tree(tmp_path) == before


def test_batches_depend_on_settings_data_and_model_alone(task_and_settings):
    task, settings = task_and_settings
    sources = []
    for _ in range(2):
        data = task.load(settings, None)
        sources.append(task.batches(settings, data, task.model(settings, data.vocabulary)))
    for epoch in (1, 0):  # in another order too
        assert_equal_trees(sources[0].epoch(epoch), sources[1].epoch(epoch))
        np.testing.assert_array_equal(sources[0].lengths(epoch), sources[1].lengths(epoch))
    assert_equal_trees(sources[0].epoch(0), sources[1].epoch(0))


def test_parameters_are_only_read(task_and_settings):
    task, settings = task_and_settings
    data = task.load(settings, None)
    model = task.model(settings, data.vocabulary)
    params = model.init(jax.random.key(0))
    before = jax.tree.map(np.array, params)
    task.validate(settings, data, model, params, lambda *done: None)
    task.close(settings, data, model, params, jax.random.key(1), lambda *done: None)
    assert_equal_trees(params, before)


def test_a_model_is_made_of_settings_and_vocabulary_alone(task_and_settings):
    task, settings = task_and_settings
    data = task.load(settings, None)
    models = [task.model(settings, vocabulary) for vocabulary in (data.vocabulary, data.vocabulary)]
    assert_equal_trees(*(model.init(jax.random.key(0)) for model in models))
