"""A language model that begins with given weights: what it takes, and what contradicts them."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.models.build import from_config
from lm_jax.runs.open import open_run
from lm_jax.runs.pretrained import begun
from lm_jax.runs.setup import set_up
from lm_jax.tasks import task_of
from lm_jax.tasks.weight_files import read_weight_file
from tests.cases import assert_identical
from tests.interop.test_torch_weights import golden, state_of
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


WORDS = ["<eos>", "<unk>", "a", "cab", "bad", "dab", "aba"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def runs(text, tmp_path_factory):
    """Folders of runs with random weights, by name; each with a seed of its own."""
    kinds = {
        "lstm": {},
        "gru words": {"level": "word", "cell": "gru", "gru_reset": "before", "layers": 2},
        "window": {"model": "window", "window": 3},
        "tied": {"tied": True, "embedding_size": 8},
        "attention": {"model": "attention", "heads": 2, "kv_heads": 1, "context": 6},
    }
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: untrained(toy_config(text, seed=7 + number, **changes), folder / name)
        for number, (name, changes) in enumerate(kinds.items())
    }


def bare(text, **changes):
    """Settings that say nothing of the sizes of the model."""
    return toy_config(text, **{"hidden_size": 256, "embedding_size": 64, **changes})


def test_a_transformer_takes_no_layers_above(runs, text):
    """Its top layer normalises what the softmax reads."""
    with pytest.raises(UserError, match="must have the same architecture, but for layers of a recurrent model"):
        first_state(bare(text, init_from=str(runs["attention"]), layers=3))


def first_state(config):
    """The settings and the parameters that a new run begins with."""
    config, saved, pretrained = begun(config)
    task = task_of(config)
    setup = set_up(task, config, task.load(config, saved), pretrained=pretrained)
    return config, setup, setup.create().params


@pytest.mark.parametrize("name", ["lstm", "gru words", "window", "tied", "attention"])
def test_a_run_begins_with_the_weights_and_the_vocabulary_of_another(name, runs, text):
    opened = open_run(runs[name])
    config, setup, params = first_state(bare(text, init_from=str(runs[name]), dropout=0.25))
    assert_identical(params, opened.load()[1])
    assert setup.data.vocabulary == opened.vocabulary
    expected = dataclasses.replace(opened.config.model, dropout=0.25)
    assert config.model == expected and config.data.level == opened.config.data.level
    assert setup.data.phrases[0] == f"weights of {runs[name]}"


def test_layers_above_are_new_ones(runs, text):
    config, setup, params = first_state(bare(text, init_from=str(runs["lstm"]), layers=2))
    theirs = open_run(runs["lstm"]).load()[1]
    assert config.model.layers == 2 and config.model.hidden_size == 8
    assert_identical((params.embedding, params.w_out, params.b_out), (theirs.embedding, theirs.w_out, theirs.b_out))
    assert_identical(params.cell.cells[0], theirs.cell)
    fresh = from_config(config.model, 6).init(jax.random.key(0))
    assert params.cell.cells[1].w_x.shape == fresh.cell.cells[1].w_x.shape and np.any(params.cell.cells[1].w_x)
    assert setup.data.phrases[0] == f"weights of {runs['lstm']}, 1 new layer above"


CONTRADICTIONS = {
    "size": ({"hidden_size": 9}, "lstm", "hidden_size must be that of init_from, 8, got 9"),
    "cell": ({"cell": "rnn"}, "lstm", "cell must be that of init_from, lstm, got rnn"),
    "level": ({"level": "byte"}, "gru words", "level must be that of init_from, word, got byte"),
    "layers": ({"layers": 2}, "three", "layers must be at least those of init_from, 3, got 2"),
    "kind": ({"cell": "gru"}, "window", "model must be that of init_from, window, got recurrent"),
    "heads": ({"model": "attention", "heads": 1}, "attention", "heads must be that of init_from, 2, got 1"),
    "limits": ({"level": "word", "min_count": 2}, "gru words", "min_count must be left out with init_from"),
    "tied": ({"tied": True}, "lstm", "tied must be that of init_from, False, got True"),
    "words": ({"vocabulary": "x.txt"}, None, "vocabulary needs init_from, got x.txt without"),
}


@pytest.mark.parametrize(("changes", "name", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_one_line(changes, name, message, runs, text, tmp_path):
    path = None if name is None else str(runs[name] if name in runs else tmp_path / name)
    if name == "three":
        untrained(toy_config(text, layers=3), tmp_path / name)
    sizes = {"hidden_size": 128} if "heads" in changes else {}
    config = toy_config(text, init_from=path, **sizes, **changes) if sizes else bare(text, init_from=path, **changes)
    with pytest.raises(UserError) as caught:
        config.check()
        begun(config)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_counted_model_has_no_weights_to_begin_with(runs, text, tmp_path):
    from lm_jax import DataConfig, NGramConfig, train

    counted = train(NGramConfig(DataConfig(text), order=2), tmp_path / "counted").folder
    with pytest.raises(UserError, match="must be the run of a neural language model, got a run of task ngram"):
        begun(bare(text, init_from=str(counted)))


@pytest.fixture
def weights(tmp_path):
    """`weights(name)` writes a model of torch and its words; returns the two files and what torch computed."""
    library = pytest.importorskip("safetensors.numpy")

    def write(name, words=WORDS):
        arrays = golden("torch_models.npz", f"model/{name}")
        library.save_file(state_of(arrays), tmp_path / "lm.safetensors")
        (tmp_path / "words.txt").write_text("".join(f"{word}\n" for word in words))
        return str(tmp_path / "lm.safetensors"), str(tmp_path / "words.txt"), arrays

    return write


@pytest.mark.parametrize("name", ["rnn_relu_2", "gru_2", "lstm_2", "gru_1_tied"])
def test_weights_of_torch_are_begun_with(name, weights, text):
    file, words, arrays = weights(name)
    changes = {"cell": "rnn", "nonlinearity": "relu"} if name.startswith("rnn") else {}
    config, setup, params = first_state(bare(text, init_from=file, vocabulary=words, **changes))
    assert setup.data.vocabulary == Vocabulary("word", ("</s>", *WORDS[1:]))
    assert 0 < np.mean(setup.data.train == 1) < 1  # cad is not among the words
    assert "unknown" in setup.data.phrases[-1]
    assert (config.model.layers, config.model.tied) == (int(name.split("_")[-1].replace("tied", "1")), "tied" in name)
    tokens = arrays["tokens"].astype(np.int32)
    carry = setup.model.initial_carry(params, tokens.shape[1:])
    _, logits = setup.model.unroll(params, carry, tokens)
    np.testing.assert_allclose(jax.nn.log_softmax(logits), arrays["log_probs"], rtol=0, atol=1e-6)


WORD_LISTS = {
    "short": (WORDS[:-1], "a word for every row of the embedding, 7, got 6"),
    "twice": ([*WORDS[:-1], "a"], "has every word once, got 'a' in lines 3 and 7 of"),
    "no end": (["<end>", *WORDS[1:]], "needs a word for the end of a line, </s> or <eos>"),
    "two words": ([*WORDS[:-1], "a b"], "has one word a line, got 'a b' in line 7 of"),
    "a blank line": ([*WORDS[:3], "", *WORDS[4:]], "has one word a line, got '' in line 4 of"),
}


@pytest.mark.parametrize(("words", "message"), WORD_LISTS.values(), ids=WORD_LISTS)
def test_a_bad_list_of_words_is_one_line(words, message, weights):
    file, path, _ = weights("lstm_2", words)
    with pytest.raises(UserError) as caught:
        read_weight_file(file, path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_weights_without_words_or_of_no_model_are_refused(weights, tmp_path):
    file, words, _ = weights("lstm_2")
    with pytest.raises(UserError, match="weights need their words: give vocabulary, got none for"):
        read_weight_file(file, None)
    with pytest.raises(UserError, match="vocabulary must be an existing file"):
        read_weight_file(file, tmp_path / "none.json")
    with pytest.raises(UserError, match="must be a safetensors file, got"):
        read_weight_file(words, words)


def test_the_vocabulary_of_a_run_will_do(weights, tmp_path):
    file, _, _ = weights("lstm_2")
    vocabulary = Vocabulary("word", ("</s>", *WORDS[1:]))
    vocabulary.save(tmp_path / "vocabulary.json")
    assert read_weight_file(file, tmp_path / "vocabulary.json").vocabulary == vocabulary
    (tmp_path / "vocabulary.json").write_text(json.dumps({"level": "word"}))
    with pytest.raises(UserError, match=r"is the vocabulary\.json of a run, got"):
        read_weight_file(file, tmp_path / "vocabulary.json")
