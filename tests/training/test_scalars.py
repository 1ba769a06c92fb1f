"""The numbers of a training for other programs: a function, event files of TensorBoard, several listeners at once."""

import builtins
import json
import re
import struct
import sys
import time
import types
import warnings
from pathlib import Path

import pytest

import lm_jax
from lm_jax.errors import UserError
from lm_jax.interop import TensorBoardListener
from lm_jax.training import Listener, Listeners, ScalarListener
from lm_jax.training.listener import Incident, Report, Telemetry
from tests.runs.toy import toy_config, write_corpus


README = Path(__file__).parents[2] / "lm_jax" / "training" / "README.md"
REPORT = Report(7, 1.5, {"perplexity": 4.5}, 1.0, 0.25, 0.1, 1.0, None)
NUMBERS = {"loss": 1.5, "perplexity": 4.5, "grad_norm": 1.0, "clipped": 0.25, "learning_rate": 0.1}


def test_the_log_has_the_numbers_of_the_metrics(tmp_path):
    logged = []
    config = toy_config(write_corpus(tmp_path / "text"))
    run = lm_jax.train(
        config, tmp_path / "run", ScalarListener(lambda step, values: logged.append((step, dict(values))))
    )
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) > 3
    for (step, values), line in zip(logged, lines, strict=True):
        assert step == line.pop("step")
        assert {name: value for name, value in values.items() if name != "tokens_per_second"} == {
            name: value for name, value in line.items() if name not in ("best", "closing")
        }


def test_telemetry_and_incidents_are_numbers_by_name():
    logged = []
    listener = ScalarListener(lambda step, values: logged.append((step, dict(values))))
    listener.on_telemetry(Telemetry(3, {"norm": 2.0, "by layer": [1.0], "on": True}, ""))
    listener.on_telemetry(Telemetry(4, {"by layer": [1.0]}, ""))
    listener.on_incident(Incident(5, "gradient", float("nan"), 1.0, 1, 1, 2, 1.0, 1.0, False))
    assert logged == [(3, {"telemetry/norm": 2.0}), (5, {"incidents": 2})]


def test_a_log_that_cannot_be_written_is_a_warning_once():
    def full(step, values):
        raise OSError(28, "No space left on device")

    listener = ScalarListener(full)
    with pytest.warns(UserWarning, match="the log of step 7 cannot be written .No space left on device.; no more is"):
        listener.on_report(REPORT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listener.on_report(REPORT)


def test_every_event_goes_to_every_listener_in_order():
    events = [name for name in vars(Listener) if name.startswith("on_")]
    heard = []

    class Hearer(Listener):
        def __init__(self, name):
            for event in events:
                setattr(self, event, lambda *values, event=event: heard.append((name, event, values)))

    both = Listeners(Hearer("a"), Hearer("b"))
    for event in events:
        getattr(both, event)(1, 2)
    assert heard == [(name, event, (1, 2)) for event in events for name in "ab"]


def events(folder):
    """The scalars of event files, read from the bytes: records of a length, its checksum, the data and theirs."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = proto.Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            yield from ((event.step, value.tag, value.simple_value) for value in event.summary.value)


def test_tensorboard_has_the_losses_also_of_a_run_that_went_on(tmp_path):
    pytest.importorskip("tensorboardX")
    config = toy_config(write_corpus(tmp_path / "text"), steps=10, log_every=5)
    run = lm_jax.train(config, tmp_path / "run", [None, TensorBoardListener()])
    lm_jax.resume(run.folder, steps=20, listener=TensorBoardListener())
    written = list(events(run.folder / "tensorboard"))
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    for name in ("loss", "valid_loss", "grad_norm"):
        wanted = [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in lines if name in line]
        found = {step: value for step, tag, value in written if tag == name}
        assert [(step, found[step]) for step, _ in wanted] == wanted and wanted


def test_two_files_of_one_second_are_two(tmp_path, monkeypatch):
    """As of a short run that is resumed at once."""
    pytest.importorskip("tensorboardX")
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    for step in (5, 10):
        listener = TensorBoardListener()
        listener.on_start(types.SimpleNamespace(run=tmp_path, first_step=step - 5, unit="tokens"))
        listener._add(step, {"loss": 1.0})
        listener.close()
    assert [step for step, _, _ in events(tmp_path / "tensorboard")] == [5, 10]


def test_without_the_extra_nothing_is_written(tmp_path, monkeypatch, capsys):
    from lm_jax.cli.main import main

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r'need the extra "tensorboard": pip install "lm-jax\[tensorboard\]"'):
        TensorBoardListener()
    text = write_corpus(tmp_path / "text")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--data", str(text), "--run", str(tmp_path / "run"), "--steps", "2", "--log", "tensorboard"])
    assert stopped.value.code == 2 and 'lm-jax[tensorboard]"' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_block_of_the_readme_logs_to_weights_and_biases(monkeypatch):
    """With a stand-in for what it logs to, which is not installed here, and for the training."""
    (block,) = [
        b for b in re.findall(r"^```py\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE) if "wandb" in b
    ]
    logged, wandb = [], types.ModuleType("wandb")
    vars(wandb).update(init=lambda project: None, log=lambda values, step: logged.append((step, values)))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr(lm_jax, "train", lambda data, listener: listener.on_report(REPORT), raising=False)
    builtins.exec(block, {})
    assert logged == [(7, NUMBERS)]
