"""What is compiled after the page is there: all that a first click asks for, and it ends with the server."""

import logging
import re
import threading

import jax
import pytest

import lm_jax
from lm_jax.errors import UserError
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus
from tests.serve.test_words import MODELS


pytest.importorskip("starlette", reason='the extra "serve" is not installed: nothing of the server was tested')
from lm_jax.serve import gradients, warming
from lm_jax.serve.app import app
from lm_jax.serve.models import serve_models, warm_up
from tests.serve.client import TOKEN, Client


def compiled(caplog, asked):
    """The names of the programs that are compiled while it is asked."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.WARNING, "jax"):
        asked()
    return re.findall(r"Finished XLA compilation of (\S+)", caplog.text)


def warmed(folder, config, monkeypatch, caplog):
    """The client of a model whose programs of the two smallest sizes were compiled as at the start."""
    for module in (gradients, warming):
        monkeypatch.setattr(module, "SIZES", gradients.SIZES[:2])
        monkeypatch.setattr(module, "SENTENCE_SIZES", gradients.SENTENCE_SIZES[:2])
    models = serve_models({"run": lm_jax.load(untrained(config, folder / "run"))})
    warm_up(models)
    assert compiled(caplog, lambda: [step() for step in warming.steps(models)])
    return Client(app(models, TOKEN))


def test_no_first_click_compiles_anything(tmp_path, monkeypatch, caplog):
    config = toy_config(write_corpus(tmp_path / "text"), hidden_size=7, embedding_size=5)
    client = warmed(tmp_path, config, monkeypatch, caplog)

    def asked():
        for length in (2, 15, 16, 17, 31, 32):
            for path, more in (("gradients", {}), ("states", {"units": [["h", 0]]}), ("score", {})):
                assert client.ask(f"/v1/{path}", {"text": ("a cab bad " * 4)[:length], **more}).status_code == 200
        assert client.ask("/v1/generate", {"prompt": "a cab", "tokens": 40, "seed": 3}).status_code == 200

    assert compiled(caplog, asked) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_no_first_sentence_compiles_its_gradients(kind, tmp_path, monkeypatch, caplog):
    """Of a translation the length is the model's: what was compiled for another may be new."""
    config, sentence, _ = MODELS[kind]
    client = warmed(tmp_path, config(tmp_path / "text.tsv", hidden_size=7), monkeypatch, caplog)

    def asked():
        for words in (1, 5, 16, 17, 30):
            text = " ".join([sentence.split()[0]] * words)
            assert client.ask("/v1/gradients", {"text": text}).status_code == 200

    assert "jit(gradients)" not in compiled(caplog, asked)


def test_it_ends_with_the_server_and_refusals_are_no_end(monkeypatch):
    asked, going, may_end = [], threading.Event(), threading.Event()

    def refused():
        asked.append("refused")
        raise UserError("not for this model")

    def slow():
        asked.append("slow")
        going.set()
        may_end.wait(60)

    monkeypatch.setattr(warming, "steps", lambda models: [refused, slow, lambda: asked.append("never")])
    with warming.warming({}) as thread:
        assert going.wait(60)
        threading.Timer(0.05, may_end.set).start()
    assert asked == ["refused", "slow"] and not thread.is_alive()
