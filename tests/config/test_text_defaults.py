"""Settings that level and size of a text choose, and a user's own, which stay."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

import lm_jax
from lm_jax import DataConfig, NGramConfig, OptimizerConfig, RecurrentConfig, TrainConfig
from lm_jax.config import from_flat, read_settings
from lm_jax.config.text_defaults import ROWS, UNCHOSEN, TextDefaults, fill_in, text_defaults


def test_the_default_text_keeps_its_settings():
    assert text_defaults("char", 420_000) == TextDefaults(1e-2, 0.0, 5, 1, 32)
    assert text_defaults("char", 420_000, cell="gru") == text_defaults("char", 420_000)
    assert text_defaults("char", 420_000, cell="rnn") == text_defaults("byte", 420_000, cell=None) == UNCHOSEN
    assert UNCHOSEN == TextDefaults(5e-3, 0.0, 8, 1, 64)


@pytest.mark.parametrize("level", ROWS)
def test_a_smaller_text_has_more_passes_and_no_less_dropout(level):
    found = [text_defaults(level, tokens) for tokens in (50_000, 300_000, 4_000_000, 10**8)]
    assert [one.epochs for one in found] == sorted((one.epochs for one in found), reverse=True)
    assert found[0].dropout >= found[-1].dropout and found[0].dropout > 0
    assert text_defaults(level, 100) == UNCHOSEN


def test_rare_words_are_unknown_where_the_text_has_no_unknown_word_yet():
    assert text_defaults("word", 20_000).min_count == 2
    assert text_defaults("word", 2_000_000).min_count == 3
    for tokens in (20_000, 2_000_000):
        assert text_defaults("word", tokens, has_unknown=True) == text_defaults("word", tokens)._replace(min_count=1)
    assert {text_defaults(level, 10**k).min_count for level in ("char", "byte", "bpe") for k in range(9)} == {1}


def test_open_settings_are_filled_in_and_given_ones_stay():
    values = TextDefaults(0.25, 0.75, 5, 4)._asdict()
    filled, chosen = fill_in(TrainConfig(), values)
    assert chosen == values
    found = filled.optimizer.learning_rate, filled.model.dropout, filled.epochs, filled.data.min_count
    assert found == (0.25, 0.75, 5, 4)
    own = from_flat(TrainConfig, {"learning_rate": 5e-3, "dropout": 0.0, "epochs": 8, "min_count": 1, "bptt": 64})
    assert fill_in(own, values) == (own, {}) and fill_in(filled, UNCHOSEN._asdict()) == (filled, {})
    assert fill_in(from_flat(TrainConfig, {"dropout_output": 0.1}), values)[1]["dropout"] == 0.0
    assert fill_in(NGramConfig(), values)[1] == {"min_count": 4}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """5,000 words; each number is there twice, and each letter once."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    lines = [" ".join([*(f"n{(50 * k + j) // 2}" for j in range(50)), f"once{k}"]) for k in range(100)]
    path.write_text("\n".join(lines) + "\n")
    return path


TOY = {"level": "word", "hidden_size": 2, "embedding_size": 2, "steps": 1}


def recorded(folder):
    config = json.loads((folder / "config.json").read_text())["config"]
    return config["optimizer"]["learning_rate"], config["model"]["dropout"], config["epochs"], config["data"]


def test_a_run_records_what_the_text_chose(text, tmp_path):
    starts = []

    class Heard(lm_jax.Listener):
        def on_start(self, start):
            starts.append(start)

    config = from_flat(TrainConfig, {"data": str(text), **TOY})
    run = lm_jax.train(config, tmp_path / "run", Heard())
    rate, dropout, epochs, data = recorded(tmp_path / "run")
    assert (rate, dropout, epochs, data["min_count"]) == (5e-3, 0.5, 40, 2)
    chosen = {"learning_rate": 5e-3, "dropout": 0.5, "min_count": 2, "bptt": 64}  # epochs are idle beside steps
    assert starts[0].chosen == chosen
    assert run.vocabulary.unk_id is not None and "once3" not in run.vocabulary.tokens and "n3" in run.vocabulary.tokens
    # the record gives the same run again, and a resume needs nothing that was left open
    again = read_settings(tmp_path / "run" / "config.json")
    assert fill_in(again, UNCHOSEN._asdict()) == (again, {})
    lm_jax.resume(tmp_path / "run", dataclasses.replace(config, steps=2))
    assert recorded(tmp_path / "run")[:3] == (5e-3, 0.5, 40)


def test_a_user_s_own_values_stay(text, tmp_path):
    given = TrainConfig(
        data=DataConfig(str(text), "word", min_count=1),
        optimizer=OptimizerConfig(learning_rate=0.01),
        model=RecurrentConfig(hidden_size=2, embedding_size=2, dropout=0.0),
        epochs=1,
    )
    run = lm_jax.train(given, tmp_path / "run")
    rate, dropout, epochs, data = recorded(tmp_path / "run")
    assert (rate, dropout, epochs, data["min_count"]) == (0.01, 0.0, 1, 1) and "once3" in run.vocabulary.tokens


def test_seeds_and_n_grams_have_the_same_vocabulary(text, tmp_path):
    config = from_flat(TrainConfig, {"data": str(text), **TOY})
    runs = lm_jax.train_seeds(config, 2, tmp_path / "seeds").runs
    ngrams = lm_jax.train(NGramConfig(DataConfig(str(text), "word"), order=2, method="add-k"), tmp_path / "ngrams")
    assert runs[0].vocabulary == runs[1].vocabulary == ngrams.vocabulary
    assert ngrams.results.notes == ["min_count 2, chosen for this text"]
    assert recorded(tmp_path / "seeds" / "seed-1")[1] == 0.5


def test_a_text_with_an_unknown_word_keeps_its_vocabulary(text, tmp_path):
    path = tmp_path / "marked.txt"
    path.write_text(text.read_text().replace("once5\n", "<unk>\n"))
    ngrams = lm_jax.train(NGramConfig(DataConfig(str(path), "word"), order=1, method="add-k"), tmp_path / "run")
    assert "once3" in ngrams.vocabulary.tokens and ngrams.results.notes == ["min_count 1, chosen for this text"]


def test_the_readme_has_these_values():
    text = (Path(lm_jax.__file__).parent / "README.md").read_text()
    for levels, rows in (("char, byte", ROWS["char"]), ("word, bpe", ROWS["word"])):
        for most, values in rows:
            size = f"to {most:,}" if most < math.inf else "more"
            rare = f", min_count {values.min_count}" if values.min_count > 1 else ""
            chunks = f", bptt {values.bptt}" if values.bptt != UNCHOSEN.bptt else ""
            values_of = f"lr {values.learning_rate:g}, dropout {values.dropout:g}, epochs {values.epochs}{rare}{chunks}"
            assert f"| {levels} | {size} | {values_of} |" in text
