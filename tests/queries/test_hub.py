"""Folders for the Hub: what goes in comes out, nothing of the machine, no code."""

import json
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import lm_jax
from lm_jax.errors import UserError
from lm_jax.interop import load_safetensors, save_safetensors
from lm_jax.queries import from_pretrained, push_to_hub, save_pretrained
from tests.runs.toy import toy_config, write_corpus
from tests.tasks.labelled import classify_config


pytest.importorskip("safetensors")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    return lm_jax.train(toy_config(write_corpus(folder / "text"), cell="gru"), folder / "run").folder


@pytest.fixture
def saved(run, tmp_path):
    return save_pretrained(run, tmp_path / "model")


def test_the_model_comes_back_bit_for_bit(run, saved):
    ours, theirs = lm_jax.load(run), from_pretrained(saved)
    assert type(theirs) is type(ours) and theirs.vocabulary == ours.vocabulary
    text = "".join(ours.vocabulary.tokens) * 3
    assert theirs.score_tokens(text) == ours.score_tokens(text)
    assert theirs.generate("", 30, seed=3) == ours.generate("", 30, seed=3)


def test_a_classifier_comes_back_too(tmp_path):
    run = lm_jax.train(classify_config(tmp_path / "text"), tmp_path / "run").folder
    ours, theirs = lm_jax.load(run), from_pretrained(save_pretrained(run, tmp_path / "model"))
    assert theirs.classify(["a b"]) == ours.classify(["a b"])
    card = (tmp_path / "model" / "README.md").read_text()
    assert 'pipeline_tag: "text-classification"' in card and "| test accuracy | " in card


def test_the_card_says_what_it_is_and_how_good(run, saved):
    card = (saved / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "lm_jax"\n') and 'pipeline_tag: "text-generation"' in card
    evaluated = lm_jax.evaluate(run)
    (shown, low, high) = re.findall(r"test perplexity \| ([\d.,]+) \[([\d.,]+), ([\d.,]+)\], 95 % interval", card)[0]
    assert float(shown) == pytest.approx(evaluated.perplexity, rel=1e-3) and float(low) < float(shown) < float(high)
    for words in ("GRU 1x8", "| reach of the gradient | ", 'from_pretrained("model")', "Trained by `lm-jax train`"):
        assert words in card


def test_no_path_of_the_machine_gets_out(run, saved):
    config = json.loads((run / "config.json").read_text())
    folder = str(run.parent)
    assert config["config"]["data"]["data"].startswith(folder)
    for path in saved.iterdir():
        assert folder.encode() not in path.read_bytes(), path.name
    assert json.loads((saved / "config.json").read_text())["config"]["data"]["data"] == "text"


def test_weights_of_another_model_are_one_line(saved):
    tensors = load_safetensors(saved / "model.safetensors")
    for changed, message in [
        ({k: v for k, v in tensors.items() if k != "cell.w_h"}, "the model lacks cell.w_h"),
        (tensors | {"more": np.zeros(1, np.float32)}, "the model has no place for more"),
        (tensors | {"b_out": np.zeros(3, np.float32)}, r"got b_out as float32\[3\] instead of float32"),
        (tensors | {"b_out": tensors["b_out"].astype(np.float16)}, "got b_out as float16"),
    ]:
        save_safetensors(changed, saved / "model.safetensors")
        with pytest.raises(UserError, match=message):
            from_pretrained(saved)
    (saved / "model.safetensors").write_bytes(b"\x80\x04K\x01.")  # a pickle
    with pytest.raises(UserError, match="must be a safetensors file"):
        from_pretrained(saved)


def test_what_is_refused_leaves_nothing(run, saved, tmp_path, monkeypatch):
    ngram = lm_jax.train_ngram(write_corpus(tmp_path / "text"), tmp_path / "bigram", order=2).folder
    before = sorted(tmp_path.iterdir())
    for given, folder, message in [
        (run, saved, "folder must be a new one"),
        (run, tmp_path / "no" / "model", "in a folder that exists"),
        (ngram, tmp_path / "other", "networks, got n-grams"),
    ]:
        with pytest.raises(UserError, match=message):
            save_pretrained(given, folder)
    with pytest.raises(UserError, match="revision is of a model on the Hub"):
        from_pretrained(saved, revision="main")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r'the Hub needs the extra "hub": pip install "lm-jax\[hub\]"'):
        from_pretrained("user/model")
    assert sorted(tmp_path.iterdir()) == before


def test_a_model_goes_to_the_hub_and_comes_back(run, tmp_path, monkeypatch):
    """With a stand-in for the Hub: a folder."""
    hub, asked = {}, []

    class Api:
        def create_repo(self, repo, private, exist_ok):
            asked.append((repo, private, exist_ok))
            return f"https://hub/{repo}"

        def upload_folder(self, repo_id, folder_path):
            hub[repo_id] = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}

    def download(repo, revision, local_dir, allow_patterns):
        if repo not in hub:
            raise OSError("404\nnot found")
        Path(local_dir).mkdir(parents=True)
        for name in allow_patterns:
            (Path(local_dir) / name).write_bytes(hub[repo][name])

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(HfApi=Api, snapshot_download=download))
    assert push_to_hub(run, "me/toy", private=True) == "https://hub/me/toy" and asked == [("me/toy", True, True)]
    assert b"# me/toy\n" in hub["me/toy"]["README.md"]
    text = "".join(lm_jax.load(run).vocabulary.tokens)
    assert from_pretrained("me/toy").score_tokens(text) == lm_jax.load(run).score_tokens(text)
    with pytest.raises(UserError, match="source must be a folder or a model on the Hub, got me/none: 404"):
        from_pretrained("me/none")
