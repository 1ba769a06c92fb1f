"""Keywords of a script are the flags of the command line: the same names, the same configuration, the same refusals."""

from pathlib import Path

import pytest

import lm_jax
from lm_jax.cli.train import make_config
from lm_jax.config import (
    ClassifierConfig,
    ClassifyConfig,
    DataConfig,
    LSTMConfig,
    NGramConfig,
    OptimizerConfig,
    RecurrentConfig,
    TrainConfig,
    from_flat,
)
from lm_jax.interactive.request import CONFIGS, requested_config
from tests.cli.command_line import parsed


SAME = [  # words of the command line, and keywords
    ("train", {}),
    ("train --lr 1e-3 --cell gru --hidden-size 128", {"lr": 1e-3, "cell": "gru", "hidden_size": 128}),
    ("train --learning-rate 0.1 --clip none --tied --embedding-size 256", {"clip": None, "tied": True}),
    ("train --model window --window 8 --layer-norm", {"model": "window", "window": 8, "layer_norm": True}),
    ("train --forget-bias 2 --recurrence scan", {"forget_bias": 2.0, "recurrence": "scan"}),
    ("train --schedule plateau --averaging ema --ema-decay 0.9", {"schedule": "plateau", "ema_decay": 0.9}),
    ("train --epochs 3 --level word --min-count 2", {"epochs": 3, "level": "word", "min_count": 2}),
    ("train --steps 7 --cutoffs 20 100", {"steps": 7, "cutoffs": [20, 100]}),
    ("ngram train --order 3 --method add-k --k 0.5", {"order": 3, "method": "add-k", "k": 0.5}),
    ("classify train --pooling max --cell rnn", {"pooling": "max", "cell": "rnn"}),
    ("tag train --output crf --char-features lstm", {"output": "crf", "char_features": "lstm"}),
    ("translate train --attention plain --reverse-source", {"attention": "plain", "reverse_source": True}),
]
MORE = {"--learning-rate 0.1": {"learning_rate": 0.1, "embedding_size": 256}, "--averaging": {"averaging": "ema"}}
VERBS = dict(zip(("train", "ngram train", "classify train", "tag train", "translate train"), CONFIGS, strict=True))


@pytest.mark.parametrize(("words", "keywords"), SAME)
def test_keywords_are_flags(words, keywords, monkeypatch):
    for mark, more in MORE.items():
        keywords = {**keywords, **(more if mark in words else {})}
    verb, _, given = parsed(words.split(), monkeypatch)
    cls = CONFIGS[VERBS[verb]]
    assert requested_config(cls, None, keywords) == make_config(given, None, cls)
    assert requested_config(cls, Path("a.txt"), keywords) == make_config({**given, "data": "a.txt"}, None, cls)


def test_a_configuration_stays_and_keywords_change_it():
    config = TrainConfig(model=RecurrentConfig(cell="rnn", layers=2), steps=5)
    assert requested_config(TrainConfig, config, {}) is config
    changed = requested_config(TrainConfig, config, {"epochs": 2, "nonlinearity": "relu"})
    assert (changed.steps, changed.epochs, changed.model.layers) == (None, 2, 2)
    assert changed.model.cell.nonlinearity == "relu"
    other = requested_config(TrainConfig, ClassifyConfig(), {"pooling": "max"})  # of any task
    assert other == ClassifyConfig(model=ClassifierConfig(pooling="max"))


def test_a_part_may_be_given_whole():
    keywords = {"optimizer": OptimizerConfig(clip=2.0), "lr": 0.3, "cell": LSTMConfig(forget_bias=3.0), "layers": 2}
    config = requested_config(TrainConfig, "a.txt", keywords)
    assert config == from_flat(
        TrainConfig, {"data": "a.txt", "clip": 2.0, "learning_rate": 0.3, "forget_bias": 3.0, "layers": 2}
    )
    assert requested_config(TrainConfig, None, {"model": RecurrentConfig(layers=3)}).model.layers == 3
    assert requested_config(TrainConfig, None, {"data": DataConfig("b.txt")}).data.data == "b.txt"


def test_a_cell_of_ones_own_is_a_function_or_its_name(tmp_path):
    def mine(input_size, hidden_size):
        return 3

    assert requested_config(TrainConfig, None, {"cell": mine}).model.cell.factory is mine
    (tmp_path / "mine.py").write_text("def cell(input_size, hidden_size):\n    return 7\n")
    named = requested_config(TrainConfig, None, {"cell": f"{tmp_path}/mine.py:cell"}).model.cell
    assert named.factory(1, 2) == 7


REFUSED = [
    (lambda: lm_jax.train(epochs="3"), "epochs must be a whole number of at least 1, got '3'"),
    (lambda: lm_jax.train(seed="0"), "seed must be a whole number, got '0'"),
    (lambda: lm_jax.train(hidden_size=None), "hidden_size must be a whole number, got None"),
    (lambda: lm_jax.train(lr="1e-3"), "learning_rate must be a number, got '1e-3'"),
    (lambda: lm_jax.train(cutoffs=200), "cutoffs must be a list, got 200"),
    (lambda: lm_jax.train(level="words"), "level must be one of .*, got 'words'; did you mean word?"),
    (lambda: lm_jax.train(cell="grue"), "cell must be one of rnn, gru, lstm, .*got 'grue'; did you mean gru.;"),
    (lambda: lm_jax.train(model="gru"), r"model must be one of .*, got 'gru'; did you mean cell gru\? \(Recurr"),
    (lambda: lm_jax.train(hiden_size=3), "TrainConfig, got hiden_size=3; did you mean hidden_size?"),
    (lambda: lm_jax.train(listner=None), "TrainConfig, got listner=None; did you mean listener?"),
    (lambda: lm_jax.train(order=3), "TrainConfig, got order=3; that is a setting of train_ngram"),
    (lambda: lm_jax.train_ngram(hidden_size=3), "NGramConfig, got hidden_size=3; that is a setting of train, train_c"),
    (lambda: lm_jax.train(window=8), "window is a setting of window, got model recurrent; give model=window"),
    (lambda: lm_jax.train(steps=3, epochs=3), "given in steps or in epochs, got both"),
    (lambda: lm_jax.train(lr=1.0, learning_rate=1.0), "given once, got both learning_rate and its short name"),
    (lambda: lm_jax.train(42), "data must be a path or a TrainConfig, got 42; settings are keywords"),
    (lambda: lm_jax.train(RecurrentConfig()), "data must be a path or a TrainConfig, got RecurrentConfig; settings"),
    (lambda: lm_jax.train_ngram(TrainConfig()), "data must be a path or a NGramConfig, got TrainConfig"),
    (lambda: lm_jax.train("a b\nc d"), "data must be the path .*, got a text of 7 characters; write it to a file"),
    (lambda: lm_jax.train(run=5), "run must be the path of a folder, got 5"),
    (
        lambda: lm_jax.train(listener=print),
        'listener must be a Listener, "auto", "print" or None, or a list of these, got <built-in',
    ),
    (lambda: lm_jax.train_classifier(pooling="mx"), "pooling must be one of .*, got 'mx'; did you mean max?"),
    (lambda: lm_jax.train_tagger(output="crff"), "got 'crff'; did you mean crf?"),
    (lambda: lm_jax.train_translator(attention=True), "attention must be one of plain, .*, got True"),
    (lambda: lm_jax.train_seeds("a.txt", 1), "seeds must be at least 2, for a standard error, got 1"),
    (lambda: lm_jax.resume("nowhere", epochs=2), "got nowhere without config.json"),
    (lambda: TrainConfig(model="gru"), r'did you mean cell gru\? \(RecurrentConfig\(cell="gru"\)\)'),
    (lambda: TrainConfig(data="x.txt"), r"data must be of type DataConfig, got 'x.txt'; give DataConfig\(data='x.txt'"),
    (lambda: TrainConfig(optimizer=RecurrentConfig()), "type OptimizerConfig, got RecurrentConfig; give OptimizerC"),
    (lambda: ClassifyConfig(model="gru"), r"type ClassifierConfig, got 'gru'; give ClassifierConfig\(cell='gru'\)"),
    (lambda: NGramConfig(method="kats"), "method must be one of .*, got 'kats'; did you mean katz?"),
]


@pytest.mark.parametrize(("request_", "message"), REFUSED)
def test_a_mistake_is_one_line(request_, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lm_jax.UserError, match=message) as caught:
        request_()
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
