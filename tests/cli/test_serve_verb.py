"""`lm-jax serve`: what it refuses, what it starts, and that nothing of it is imported elsewhere."""

import socket
import subprocess
import sys
import threading

import pytest

from lm_jax.cli import demo_runs
from lm_jax.config import DataConfig, NGramConfig
from tests.runs.toy import toy_config


def test_what_is_refused(finished, command):
    pytest.importorskip("starlette")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = {
            (): "got neither",
            (finished, "--demo"): "got both",
            ("nothing",): "an existing folder, got nothing",
            (finished, "--port", "70000"): "--port must be from 0 to 65535",
            (finished, "--port", str(port)): "--port must be free",
        }
        for words, message in refused.items():
            code, out, err = command("serve", *words)
            assert (code, out) == (2, "") and err.startswith("error: ") and message in err, words


def test_the_extra_is_named_where_it_is_missing(finished, command, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    code, _, err = command("serve", finished, "--port", "0")
    assert code == 2 and 'pip install "lm-jax[serve]"' in err


def test_the_demo_trains_what_is_missing_once(corpus, command, tmp_path, monkeypatch):
    pytest.importorskip("uvicorn")
    estimated, trained = (make for _, make in (demo_runs.DEMO["demo-5gram"], demo_runs.DEMO["demo-rnn"]))
    small = {
        "demo-5gram": (NGramConfig(DataConfig(corpus), order=2), estimated),
        "demo-rnn": (toy_config(corpus, cell="rnn", steps=2), trained),
    }
    monkeypatch.setattr(demo_runs, "DEMO", small)
    monkeypatch.chdir(tmp_path)
    served = []
    monkeypatch.setattr("lm_jax.serve.run.serve", lambda models, taken, token, on_start: served.append(models))
    for again in (False, True):
        code, out, err = command("serve", "--demo", "--port", "0")
        assert code == 0, err
        assert ("training checkpoints/demo-rnn" in out) == (not again)
    assert [list(models) for models in served] == [list(small)] * 2
    (tmp_path / "checkpoints" / "demo-rnn" / "results.json").unlink()
    code, _, err = command("serve", "--demo", "--port", "0")
    assert code == 2 and "was not finished" in err


@pytest.mark.parametrize("words,opens", [((), False), (("--open",), True), (("--no-open",), False)])
@pytest.mark.parametrize("demo", [False, True])
def test_the_page_is_opened_where_it_is_wanted_and_after_a_demo(words, opens, demo, finished, command, monkeypatch):
    pytest.importorskip("uvicorn")
    opened, began = [], threading.Event()
    monkeypatch.setattr("lm_jax.cli.demo_runs.demo_runs", lambda: [finished])
    monkeypatch.setattr("lm_jax.serve.run.serve", lambda models, taken, token, on_start: on_start(f"http://{token}"))
    monkeypatch.setattr("lm_jax.serve.run.new_token", lambda: "secret")
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or began.set() or True)
    code, out, err = command("serve", *(["--demo"] if demo else [finished]), "--port", "0", *words)
    assert code == 0 and "open http://secret\n" in out, err
    wanted = opens or (demo and not words)
    assert began.wait(30 if wanted else 0.1) == wanted and opened == ["http://secret"] * wanted


def test_nothing_of_the_extras_is_imported_elsewhere():
    """Not by the package, and not by what trains."""
    words = "import sys, lm_jax, lm_jax.queries, lm_jax.cli.train, lm_jax.runs, lm_jax.interactive.train; "
    names = ("starlette", "uvicorn", "anyio", "lm_eval", "tensorboardX", "jax2onnx", "onnx", "safetensors", "sacrebleu")
    words += f"print([name for name in sys.modules if name.split('.')[0] in {names}])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
