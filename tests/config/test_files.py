"""Configurations as JSON: there and back, and the flat form of version 0.1."""

import json

import pytest

from lm_jax.config import (
    AddK,
    ClassifyConfig,
    NGramConfig,
    RecurrentConfig,
    TagConfig,
    TrainConfig,
    TranslateConfig,
    UserCell,
    from_dict,
    from_flat,
    read_record,
    read_settings,
    to_dict,
)
from lm_jax.config.flat import flat_settings
from lm_jax.errors import UserError


CONFIGS = {
    "defaults": TrainConfig(),
    "recurrent": from_flat(
        TrainConfig,
        {"cell": "gru", "gru_reset": "before", "cutoffs": (3, 9), "schedule": "plateau", "averaging": "ema"},
    ),
    "window": from_flat(TrainConfig, {"model": "window", "window": 3, "direct": True, "averaging": "ntasgd"}),
    "attention": from_flat(TrainConfig, {"model": "attention", "heads": 8, "kv_heads": 2, "context": 64, "tied": True}),
    "own cell": TrainConfig(model=RecurrentConfig(cell="cells.py:mine")),
    "ngram": NGramConfig(method=AddK(0.5), prune_counts=(0, 1)),
    "arpa": NGramConfig(method="arpa"),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_there_and_back(config):
    values = json.loads(json.dumps(to_dict(config)))
    assert from_dict(type(config), values) == config


def test_a_kind_has_its_name_in_the_file():
    values = to_dict(CONFIGS["recurrent"])
    assert values["model"]["kind"] == "recurrent" and values["model"]["cell"]["kind"] == "gru"
    assert "forget_bias" not in values["model"]["cell"] and values["optimizer"]["averaging"] == {
        "kind": "ema",
        "decay": 0.999,
    }


def test_a_file_never_makes_anything_import_a_cell(tmp_path):
    (tmp_path / "cells.py").write_text("raise SystemExit('imported')")
    cell = from_dict(TrainConfig, to_dict(CONFIGS["own cell"])).model.cell
    assert cell == UserCell("cells.py:mine") and cell.factory is None
    with pytest.raises(UserError, match=r"give cell cells\.py:mine again: it is of a user's own file"):
        cell.make()


OLD = {
    "data": {"data": None, "level": "word", "min_count": 2},
    "model": {"model": "recurrent", "cell": "gru", "gru_reset": "before", "forget_bias": 3.0, "window": 4, "layers": 1},
    "optimizer": {"schedule": "constant", "decay_factor": 0.5, "averaging": "ema", "nonmono": 2, "ema_decay": 0.9},
    "activation_reg": 2.0,
    "steps": 7,
}


def test_version_0_1_is_read_and_what_nothing_read_is_left_out():
    config = from_dict(TrainConfig, {**OLD, "model": {**OLD["model"], "dropout_kind": "locked", "cutoff_factor": 9}})
    given = {"level": "word", "min_count": 2, "cell": "gru", "gru_reset": "before", "schedule": "constant"}
    given |= {"averaging": "ema", "ema_decay": 0.9, "activation_reg": 2.0, "steps": 7}
    assert config == from_flat(TrainConfig, given)
    config.check()


def test_version_0_1_of_a_window_and_of_counts():
    old = {"model": {"model": "window", "cell": "lstm", "forget_bias": 1.0, "window": 2}, "temporal_reg": 0.0}
    assert from_dict(TrainConfig, old) == from_flat(TrainConfig, {"model": "window", "window": 2})
    assert from_dict(NGramConfig, {"method": "add-k", "k": 0.5, "order": 2}) == NGramConfig(method=AddK(0.5), order=2)
    assert from_dict(NGramConfig, {"method": "katz", "k": 1.0}) == NGramConfig(method="katz")


def test_a_record_of_either_form_is_read(tmp_path):
    path, configs = tmp_path / "config.json", {"recurrent": TrainConfig, "window": TrainConfig, "ngram": NGramConfig}
    for head in ({"family": "neural"}, {"format": 2, "task": "recurrent"}):
        path.write_text(json.dumps({**head, "config": to_dict(TrainConfig()), "corpus": {"sha256": "x"}}))
        assert read_record(path, configs) == (TrainConfig(), {"corpus": {"sha256": "x"}})
    path.write_text(json.dumps({"task": "translate", "config": {}}))
    with pytest.raises(UserError, match="task must be one of recurrent, window, ngram, got 'translate'"):
        read_record(path, configs)


@pytest.mark.parametrize("cls", [ClassifyConfig, TagConfig, TranslateConfig])
def test_shards_of_a_vocabulary_are_a_setting_of_language_models_alone(cls):
    """The other tasks once recorded the one shard that they could have."""
    assert cls().vocab_shards == 1 and "vocab_shards" not in {entry.name for entry in flat_settings(cls)}
    assert "vocab_shards" in {entry.name for entry in flat_settings(TrainConfig)}
    assert from_dict(cls, {**to_dict(cls()), "vocab_shards": 1}) == cls()
    with pytest.raises(UserError, match="does not know: vocab_shards"):
        from_dict(cls, {**to_dict(cls()), "vocab_shards": 2})
    assert from_dict(TrainConfig, to_dict(TrainConfig(devices=4, vocab_shards=2))).vocab_shards == 2


def test_settings_by_their_flat_names_are_a_file_too(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"cell": "rnn", "nonlinearity": "relu", "learning_rate": 0.1}))
    expected = from_flat(TrainConfig, {"cell": "rnn", "nonlinearity": "relu", "learning_rate": 0.1})
    assert read_settings(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "readable JSON"),
        ("[]", "one JSON object"),
        ('{"nope": 1}', "does not know: nope"),
        ('{"model": {"kind": "recurrent", "nope": 1}}', "does not know: nope"),
        ('{"cell": "gru", "forget_bias": 1.0}', "forget_bias is a setting of lstm, .*, got cell gru; give cell=lstm"),
    ],
)
def test_what_is_no_settings_is_told(tmp_path, text, message):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_settings(tmp_path / "settings.json")
