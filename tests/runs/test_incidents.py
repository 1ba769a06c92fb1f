"""Runs with steps that are no numbers: what is told, written and gone on with; and new runs from a chosen step."""

import json
import math
import re
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.cells import lstm, rnn, stacked
from lm_jax.cells.base import Cell, scan_unroll
from lm_jax.cli.main import in_flags, main
from lm_jax.models import recurrent_lm
from lm_jax.runs.advice import advising
from lm_jax.runs.folder import RunFolder, read_lines
from lm_jax.runs.open import open_run
from lm_jax.tasks import TASKS
from lm_jax.tasks.language_model import diagnose
from lm_jax.training.divergence import Diverged, diverged
from lm_jax.training.losses import cross_entropy
from tests.runs.toy import Events, assert_equal_runs, saved_arrays, toy_config, write_corpus


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("data") / "text")


def chunk_hash(inputs):
    """A number from 0 to 6 that depends on all tokens of a batch."""
    weights = 1 + jnp.arange(inputs.size).reshape(inputs.shape)
    return jnp.sum(inputs * weights) % 7


@pytest.fixture
def poisoned(monkeypatch):
    """Makes the loss of some batches NaN: of those with these hashes; `poisoned(range(7))` of all."""

    def poison(hashes):
        def loss(settings, model):
            plain = cross_entropy(model)

            def of_batch(params, carry, chunk, key, whole=None):
                value, (carry, tally) = plain(params, carry, chunk, key, whole)
                bad = jnp.isin(chunk_hash(chunk.inputs), jnp.asarray(list(hashes), int))
                times = jnp.where(bad, jnp.nan, 1.0)
                return value * times, (carry, tally._replace(nll=tally.nll * times))

            return of_batch

        monkeypatch.setitem(TASKS, "recurrent", TASKS["recurrent"]._replace(loss=loss))

    return poison


def incidents_of(run):
    return [record for record in read_lines(Path(run) / "metrics.jsonl") if "incident" in record]


def test_a_run_leaves_out_what_is_no_number_and_says_so(data, poisoned, tmp_path):
    poisoned({0, 3})
    events = Events()
    run = lm_jax.train(toy_config(data), tmp_path / "run", events)
    told = [incident for (incident,) in events.of("on_incident")]
    lines = incidents_of(run.folder)
    assert 2 <= len(told) == len(lines) == run.results.incidents < 15
    assert [line["step"] for line in lines] == [incident.step for incident in told]
    assert all(line["incident"]["loss"] is None and line["incident"]["fault"] == "loss" for line in lines)
    assert json.loads((run.folder / "results.json").read_text())["incidents"] == len(told)
    for step in (8, 16, 20):
        if (run.folder / "states" / str(step)).exists():
            arrays = saved_arrays(run.folder, step)
            assert [name for name, a in arrays.items() if a.dtype.kind == "f" and not np.isfinite(a).all()] == []
    assert all(math.isfinite(r["loss"]) for r in read_lines(run.folder / "metrics.jsonl") if "loss" in r)


@pytest.mark.parametrize("policy", ["skip", pytest.param("halve-lr", marks=pytest.mark.slow)])
def test_a_resume_in_the_middle_of_incidents_decides_the_same(data, poisoned, tmp_path, policy):
    poisoned({0, 1, 3, 4})
    config = toy_config(data, on_nonfinite=policy, steps=16)
    straight = lm_jax.train(config, tmp_path / "straight")
    steps = [line["step"] for line in incidents_of(straight.folder)]
    stop_at = next(step for step in steps if step > 3)
    stopped = lm_jax.train(config, tmp_path / "run", Events(stop_at))
    assert stopped.results.stopped
    resumed = lm_jax.resume(tmp_path / "run")
    assert_equal_runs(resumed.folder, straight.folder, step=16)
    assert resumed.results.incidents == straight.results.incidents == len(steps)


@pytest.mark.slow
def test_a_run_without_a_finite_step_ends_with_its_last_checkpoint_and_the_command(data, poisoned, tmp_path, capsys):
    lm_jax.train(toy_config(data, steps=4), tmp_path / "run")
    poisoned(range(7))
    command = r"from before it: lm-jax train resume=\S*run from_step=4 learning_rate=0.003 run=\S*run-again"
    with pytest.raises(UserError, match=rf"got loss nan 10 times in a row by step 14: .*{command}") as caught:
        lm_jax.resume(tmp_path / "run", toy_config(data, steps=20))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in (tmp_path / "run" / "states").iterdir()) == ["4", "8"]
    rates = [line["incident"]["rate"] for line in incidents_of(tmp_path / "run")]
    assert rates == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125]
    assert len(list((tmp_path / "run").glob("incident-*"))) == 3
    with pytest.raises(SystemExit):
        main(["train", "--resume", str(tmp_path / "run"), "--steps", "20"])
    assert f"--resume {tmp_path / 'run'} --from-step 4 --learning-rate 0.003 --run " in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"[", b"[]", b"\xff", b'{"found": 3}'])
def test_a_damaged_report_is_set_aside_and_written_anew(data, poisoned, tmp_path, content):
    poisoned({0, 3})
    config = toy_config(data, steps=10)
    first = lm_jax.train(config, tmp_path / "run")
    step = incidents_of(first.folder)[0]["step"]
    report = tmp_path / "run" / f"incident-{step}"
    expected = (report / "incident.json").read_bytes()
    shutil.rmtree(tmp_path / "run" / "states")  # it is done again from the beginning
    shutil.rmtree(tmp_path / "run" / "states.checksums")
    (report / "incident.json").unlink()
    if content is not None:
        (report / "incident.json").write_bytes(content)
    lm_jax.resume(tmp_path / "run")
    assert (report / "incident.json").read_bytes() == expected
    assert (tmp_path / "run" / f"incident-{step}.unreadable" / "batch.npz").is_file()


def test_numbers_that_jax_is_told_to_check_are_left_to_the_training(data, poisoned, tmp_path):
    """Under JAX_DEBUG_NANS a step with a NaN would raise FloatingPointError."""
    poisoned({0, 3})
    with jax.debug_nans(True):
        run = lm_jax.train(toy_config(data, steps=12), tmp_path / "run")
    assert run.results.incidents == len(incidents_of(run.folder)) > 0


@pytest.mark.parametrize(
    "name, resumed, new",
    [
        ("-x", "./-x", "./-x-again"),
        ("run", "run", "run-again"),
        ("my learning_rate 3", "'my learning_rate 3'", "'my learning_rate 3-again'"),
    ],
)
def test_the_command_that_goes_on_is_one_for_any_folder(name, resumed, new, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name / "states" / "40").mkdir(parents=True)
    config = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=1.0))
    setup: Any = SimpleNamespace(config=config, task=TASKS["recurrent"])
    with pytest.raises(Diverged) as caught, advising(setup, RunFolder(Path(name))):
        raise diverged("the loss must stay finite, got nan by step 45")
    command = f"lm-jax train --resume {resumed} --from-step 40 --learning-rate 0.3 --run {new}"
    assert in_flags(caught.value).endswith(f"; from before it: {command}")


@pytest.mark.slow
def test_a_saved_state_that_is_not_finite_is_not_gone_on_with(data, tmp_path, monkeypatch):
    """A version that looked at parameters only saved infinite moments."""
    from lm_jax.training import loop

    monkeypatch.setattr(loop, "check_state", lambda state: None)
    config = toy_config(data, steps=8, checkpoint_every=4)
    plant = planted(opt_state=lambda o: jax.tree.map(lambda a: a + jnp.inf if a.ndim == 2 else a, o), at=8)
    with monkeypatch.context() as patch:
        patch.setattr("lm_jax.runs.setup.build_train_steps", plant)
        lm_jax.train(config, tmp_path / "run")
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"checkpoint 8 is .*inf in opt_state.*the run continues from step 4"):
        run = lm_jax.resume(tmp_path / "run", toy_config(data, steps=12, checkpoint_every=4))
    assert run.results.step == 12
    arrays = saved_arrays(run.folder, 12)
    assert all(np.isfinite(a).all() for name, a in arrays.items() if "opt_state" in name and a.dtype.kind == "f")


def planted(at, **changes):
    """`build_train_steps` whose state is changed, part by part, when it comes to a step."""
    from lm_jax.training.state import build_train_steps

    def build(*arguments, **settings):
        train_steps = build_train_steps(*arguments, **settings)

        def steps(state, epoch, count, length=None):
            if int(state.step) < at <= int(state.step) + count:
                state = train_steps(state, epoch, at - int(state.step), length=length)
                return state.replace(**{name: change(getattr(state, name)) for name, change in changes.items()})
            return train_steps(state, epoch, count, length=length)

        return steps

    return build


def nan_in(name, place):
    return lambda params: params.replace(**{name: getattr(params, name).at[place].set(jnp.nan)})


PLANTS = {
    "embedding": ({"params": nan_in("embedding", (2, 1))}, r"nan in params\.embedding\[2, 1\], first seen in embedded"),
    "softmax": ({"params": nan_in("w_out", (3, 2))}, r"nan in params\.w_out\[3, 2\], first seen in log P\(target\)"),
    "optimiser": (
        {"opt_state": lambda o: jax.tree.map(lambda a: a.at[1, 1].set(jnp.inf) if a.shape == (4, 32) else a, o)},
        r"inf in opt_state\S*mu\.cell\.w_x\[1, 1\]",
    ),
}


@pytest.mark.parametrize(
    ("changes", "found"),
    [pytest.param(*plant, marks=[pytest.mark.slow] * (name != "embedding"), id=name) for name, plant in PLANTS.items()],
)
def test_a_planted_number_is_named_by_the_report(data, changes, found, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lm_jax.runs.setup.build_train_steps", planted(3, **changes))
    run = lm_jax.train(toy_config(data), tmp_path / "run")
    assert [(line["step"], line["incident"]["fault"]) for line in incidents_of(run.folder)] == [(3, "state")]
    assert run.results.incidents == 1 and run.results.step == 20
    (back,) = [line["rollback"] for line in read_lines(run.folder / "times.jsonl") if "rollback" in line]
    assert back["to"] == 0 and re.search(found, back["message"])
    (report,) = (tmp_path / "run").glob("incident-*")
    record = json.loads((report / "incident.json").read_text())
    assert report.name == "incident-4" and record["fault"] == "state"
    assert re.search(found, record["found"]), record["found"]
    names = {path.name for path in report.iterdir()}
    assert names == {
        "batch.npz", "config.json", "incident.json", "show.py", "states", "states.checksums", "vocabulary.json",
    }  # fmt: skip
    assert len((report / "show.py").read_text().splitlines()) <= 12
    runpy.run_path(str(report / "show.py"))
    shown = capsys.readouterr().out
    assert record["found"] in shown and ("without the optimiser" in shown) == ("opt_state" in found)


def overflowing(layer):
    """Three layers; one gives NaN from the step on at which the first feature of its input is above 1."""
    cells = [rnn(3, 4), rnn(4, 4), lstm(4, 4)]
    plain = cells[layer]

    def step(params, carry, x):
        carry, y = plain.step(params, carry, x)
        broken = jnp.where(x[..., :1] > 1, jnp.nan, 1.0)
        return jax.tree.map(lambda leaf: leaf * broken, carry), y * broken

    cells[layer] = Cell(plain.init, plain.initial_carry, step, scan_unroll(plain.initial_carry, step), *plain[4:6])
    return recurrent_lm(6, stacked(cells))


@pytest.mark.parametrize(("time", "row"), [(0, 2), (5, 0), (8, 1)])
def test_the_layer_the_time_step_and_the_row_are_named(time, row):
    model = overflowing(0)
    params = model.init(jax.random.key(0))
    params = params.replace(embedding=params.embedding.at[5].set(9.0))
    inputs = np.random.default_rng(0).integers(0, 5, (9, 3)).astype(np.int32)
    inputs[time, row] = 5
    batch = {"inputs": inputs, "targets": inputs % 5, "mask": np.ones((9, 3), bool)}
    found = diagnose(model, params, model.initial_carry(params, (3,)), batch)
    assert (found.time, found.row, found.layer) == (time, row, 1) and math.isnan(found.value)
    masked = batch | {"mask": np.arange(9)[:, None] < np.where(np.arange(3) == row, time, 9)}
    assert diagnose(model, params, model.initial_carry(params, (3,)), masked) is None


def test_a_gate_of_the_second_layer_is_named_at_its_time_step():
    """A forget bias of -inf is no NaN until the input's share of the same gate is +inf: at the one token whose first
    layer is saturated."""
    model = recurrent_lm(6, stacked([rnn(3, 4), lstm(4, 4)]))
    params = model.init(jax.random.key(0))
    first, second = params.cell.cells
    first = first.replace(w_x=jnp.ones_like(first.w_x), w_h=jnp.zeros_like(first.w_h))
    second = second.replace(w_x=second.w_x.at[:, 5].set(2e38), b=second.b.at[5].set(-jnp.inf))
    params = params.replace(
        embedding=(params.embedding * 0).at[5].set(9.0), cell=params.cell.replace(cells=(first, second))
    )
    inputs = np.zeros((7, 2), np.int32)
    inputs[4, 1] = 5
    batch = {"inputs": inputs, "targets": inputs, "mask": np.ones((7, 2), bool)}
    found = diagnose(model, params, model.initial_carry(params, (2,)), batch)
    assert (found.time, found.row, found.layer, found.gates) == (4, 1, 2, ("forget",))


# --- a new run from a chosen step ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    return lm_jax.train(toy_config(data), tmp_path_factory.mktemp("straight") / "run")


def tree_of(folder):
    return {
        path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file() and path.name != ".lock"
    }


def test_a_branch_without_a_change_is_the_run_itself(straight, tmp_path):
    before = tree_of(straight.folder)
    step = min(int(path.name) for path in (straight.folder / "states").iterdir())
    branch = lm_jax.resume(straight.folder, into=tmp_path / "new", from_step=step)
    assert_equal_runs(branch.folder, straight.folder, step=20)
    assert tree_of(straight.folder) == before
    origin = json.loads((tmp_path / "new" / "config.json").read_text())["from"]
    assert origin == {"run": str(straight.folder.resolve()), "step": step, "changed": {}}


@pytest.mark.slow
def test_a_branch_may_have_another_rate_and_clipping(straight, tmp_path):
    step = min(int(path.name) for path in (straight.folder / "states").iterdir())
    words = ["train", "--resume", str(straight.folder), "--from-step", str(step), "--run", str(tmp_path / "new")]
    main([*words, "--learning-rate", "0.001", "--clip", "none", "--on-nonfinite", "stop"])
    config = open_run(tmp_path / "new").config
    assert (config.optimizer.learning_rate, config.optimizer.clip, config.on_nonfinite) == (0.001, None, "stop")
    origin = json.loads((tmp_path / "new" / "config.json").read_text())["from"]
    assert origin["changed"]["learning_rate"] == {"from": 0.01, "to": 0.001}
    rates = {r["step"]: r["learning_rate"] for r in read_lines(tmp_path / "new" / "metrics.jsonl") if "loss" in r}
    old = {r["step"]: r["learning_rate"] for r in read_lines(straight.folder / "metrics.jsonl") if "loss" in r}
    assert all(rates[s] == pytest.approx(old[s] * (1 if s <= step else 0.1)) for s in old)
    resumed = lm_jax.resume(
        tmp_path / "new", toy_config(config.data.data, steps=24, learning_rate=0.001, clip=None, on_nonfinite="stop")
    )
    assert resumed.results.step == 24


@pytest.mark.parametrize(
    ("step", "changes", "message"),
    [
        (3, {}, r"from_step must be a step that the run has a checkpoint of, got 3 of .*, which has (\d+, )*16, 20"),
        (
            16,
            {"hidden_size": 9},
            "may change .*learning_rate, clip, on_nonfinite, on_spike, good_states only, got hidden_size = 9",
        ),
        (20, {}, "a run ends after the step that it begins with, 20, got 20 steps"),
    ],
)
def test_a_branch_that_cannot_be_is_one_line_and_writes_nothing(straight, data, step, changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        lm_jax.resume(straight.folder, toy_config(data, **changes), into=tmp_path / "new", from_step=step)
    assert not (tmp_path / "new").exists()


def test_the_flags_of_a_branch_go_together(straight, capsys):
    for words in (["--resume", str(straight.folder), "--from-step", "16"], ["--from-step", "16", "--run", "x"]):
        with pytest.raises(SystemExit):
            main(["train", *words])
        assert "--from-step begins a new run" in capsys.readouterr().err


def test_tightening_needs_a_norm(data, tmp_path):
    with pytest.raises(UserError, match="on_nonfinite=tighten-clip needs a norm to clip at"):
        lm_jax.train(toy_config(data, clip=None, on_nonfinite="tighten-clip"), tmp_path / "run")
