"""Exported models: programs that run where lm_jax is not, and give its numbers."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax.errors import UserError
from lm_jax.interop.flat_model import flat_model
from lm_jax.queries import export_run
from tests.runs.toy import toy_config, write_corpus


pytest.importorskip("flatbuffers")
ELSEWHERE = """
import json, sys
sys.modules["lm_jax"] = None  # as where it is not installed
sys.path.insert(0, sys.argv[1])
import numpy as np
from load import load
model = load()
text = json.loads(sys.argv[2])
carry, scores = model.score(model.start(len(text[0])), text[:-1], text[1:])
stepped, carry = [], model.start(len(text[0]))
for tokens in text[:-1]:
    carry, log_probs = model.step(carry, tokens)
    stepped.append(np.asarray(log_probs).tolist())
print(json.dumps([np.asarray(scores).tolist(), stepped, model.tokens, model.first]))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each kind of network, barely trained."""
    folder = tmp_path_factory.mktemp("export")
    text = write_corpus(folder / "text")
    kinds = {"gru": {"cell": "gru"}, "window": {"model": "window"}, "attention": {"model": "attention"}}
    return {
        name: lm_jax.train(toy_config(text, steps=2, **settings), folder / name).folder
        for name, settings in kinds.items()
    }


@pytest.mark.parametrize("kind", ["gru", "window", "attention"])
def test_the_loader_alone_gives_the_numbers_of_the_library(kind, runs, tmp_path):
    done = export_run(runs[kind], tmp_path / "out")
    assert sorted(done.bytes) == [
        "load.py", "score.stablehlo", "start.stablehlo", "step.stablehlo", "tokens.json", "weights.npz"
    ]  # fmt: skip
    assert done.bytes == {path.name: path.stat().st_size for path in done.path.iterdir()}
    loaded = lm_jax.load(runs[kind])
    text = np.random.default_rng(0).integers(0, loaded.model.vocab_size, (8, 3))
    command = [sys.executable, "-c", ELSEWHERE, str(done.path), json.dumps(text.tolist())]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    scores, stepped, tokens, first = json.loads(printed.splitlines()[-1])
    carry = loaded.model.initial_carry(loaded.params, (3,))
    _, wanted = loaded.model.score(loaded.params, carry, jnp.asarray(text[:-1]), jnp.asarray(text[1:]))
    _, logits = loaded.model.unroll(loaded.params, carry, jnp.asarray(text[:-1]))
    np.testing.assert_allclose(scores, wanted, atol=2e-6)
    np.testing.assert_allclose(stepped, jax.nn.log_softmax(logits), atol=2e-6)
    assert (tuple(tokens), first) == (loaded.vocabulary.tokens, loaded.vocabulary.eol_id)


def test_the_loader_is_short_and_imports_jax_and_numpy_alone(runs, tmp_path):
    lines = (export_run(runs["gru"], tmp_path / "out").path / "load.py").read_text().splitlines()
    assert sum(line.startswith(("import ", "from ")) for line in lines) == 5
    code = lines[lines.index("import json") :]
    assert len([line for line in code if line.strip()]) <= 20
    assert {line.split()[1].split(".")[0] for line in code if line.startswith(("import ", "from "))} == {
        "json", "pathlib", "types", "numpy", "jax"
    }  # fmt: skip


def test_what_cannot_be_exported_is_one_line_and_nothing_is_written(runs, tmp_path, monkeypatch):
    ngram = lm_jax.train_ngram(write_corpus(tmp_path / "text"), tmp_path / "bigram", order=2).folder
    before = sorted(tmp_path.iterdir())
    (tmp_path / "text").touch()
    for run, out, format, message in [
        (ngram, "out", "stablehlo", "an exported model is a network, got n-grams"),
        (runs["gru"], "text", "stablehlo", "out must be a new folder in one that exists"),
        (runs["gru"], "no/out", "stablehlo", "out must be a new folder in one that exists"),
        (runs["gru"], "out", "onx", "format must be one of stablehlo, onnx"),
    ]:
        with pytest.raises(UserError, match=message):
            export_run(run, tmp_path / out, format)
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    for format, extra in {"stablehlo": "export", "onnx": "onnx"}.items():
        with pytest.raises(UserError, match=rf'need the extra "{extra}": pip install "lm-jax\[{extra}\]"'):
            export_run(runs["gru"], tmp_path / "out", format)
    assert sorted(tmp_path.iterdir()) == before


def test_a_write_that_fails_leaves_nothing(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda path, content: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(UserError, match=r"out must be a folder that can be written, got .*: full"):
        export_run(runs["gru"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_verb_says_what_it_wrote(runs, tmp_path, capsys):
    from lm_jax.cli.main import main

    main(["export", str(runs["gru"]), str(tmp_path / "out")])
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"{tmp_path}/out/load.py loads it, with jax alone" and len(printed) == 7


def test_a_runtime_of_onnx_gives_the_same_numbers(runs, tmp_path):
    pytest.importorskip("jax2onnx")
    runtime = pytest.importorskip("onnxruntime")
    done = export_run(runs["gru"], tmp_path / "out", "onnx")
    session = runtime.InferenceSession(str(done.path / "step.onnx"))
    loaded = lm_jax.load(runs["gru"])
    flat = flat_model(loaded.model, loaded.params)
    tokens = np.array([3, 1], np.int32)
    carry = flat.start(flat.weights, tokens)
    wanted_carry, wanted = flat.step(flat.weights, carry, jnp.asarray(tokens))
    given = dict(zip([i.name for i in session.get_inputs()], [*map(np.asarray, carry), tokens], strict=True))
    *found_carry, found = session.run(None, given)
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    for a, b in zip(found_carry, wanted_carry, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)
