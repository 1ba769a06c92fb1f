"""Every flag and every choice of `lm-jax train` is used by at least one full small run."""

import dataclasses
import functools
import json
import math
import shlex
import typing

import pytest

import lm_jax
from lm_jax.cli.main import main
from lm_jax.cli.parsing import parse
from lm_jax.cli.train import TrainArguments
from lm_jax.runs.folder import read_lines
from tests.runs.toy import write_corpus


SMALL = "--data text --steps 4 --batch-size 4 --bptt 8 --hidden-size 8 --embedding-size 8 --log-every 2 --eval-every 3"
RUNS = {
    "waiting": "--patience 1 --checkpoint-every 1 --warmup-steps 2 --eval-streams 3 --seed 1 --lr 0.01 "
    "--recurrence scan",
    "plateau": "--cell rnn --nonlinearity relu --layers 2 --connection residual --optimizer sgd --schedule plateau "
    "--decay-factor 0.5 --clip None --mode sentence",
    "highway": "--cell rnn --nonlinearity sigmoid --layers 2 --connection highway --dropout 0.2 --dropout-kind locked "
    "--telemetry-every 2 "
    "--optimizer adamw --weight-decay 0.1 --schedule constant",
    "dense": "--cell rnn --nonlinearity identity --init identity --init-scale 0.9 --layers 3 --connection dense",
    "half": "--cell rnn --nonlinearity tanh --recurrence auto --compute-dtype bfloat16 --dropout 0.2 --layers 2",
    "bytes": "--cell gru --gru-reset after --init uniform --level byte --decay-steps 3 --clip 0.1",
    "words": "--cell gru --gru-reset before --tied --level word --batch-size 2 --min-count 2 --recurrence fused "
    "--cutoffs 2 4 --cutoff-factor 2",
    "epochs": "--forget-bias 2 --init uniform --init-scale 0.05 --steps None --epochs 1 --batch-size 16",
    "pairs": "--level bpe --max-vocab 300 --batch-size 2",
    "dropouts": "--dropout-input 0.1 --dropout-layer 0.2 --dropout-output 0.3 --dropout-embedding 0.1 --layers 2 "
    "--weight-drop 0.2 --dropout-kind locked --top-size 12",
    "moving average": "--averaging ema --ema-decay 0.9 --random-bptt --accumulate 2",
    "late average": "--averaging ntasgd --nonmono 1 --activation-reg 2 --temporal-reg 1 --eval-every 1",
    "sampling": "--scheduled-sampling 0.3",
    "window": "--model window --window 3 --direct --layer-norm --layers 2 --connection residual --nonlinearity relu "
    "--dropout 0.1 --tied",
    "table": "--data table --text-column line",
    "file": "--config-file settings.json",
    "goes on": "--resume begun --steps 6 --mirror mirror",
}
# Where a setting means something only beside another one, a run that lacks the other does not use it.
MEANS_SOMETHING = {
    "window": lambda c: c.model.model == "window",
    "nonlinearity": lambda c: c.model.cell == "rnn",
    "gru_reset": lambda c: c.model.cell == "gru",
    "forget_bias": lambda c: c.model.cell == "lstm",
    "connection": lambda c: c.model.layers > 1,
    "dropout_kind": lambda c: c.model.dropout > 0,
    "weight_decay": lambda c: c.optimizer.optimizer == "adamw",
    "decay_factor": lambda c: c.optimizer.schedule == "plateau",
    "decay_steps": lambda c: c.optimizer.schedule == "cosine",
}


ELSEWHERE = {"cudnn"}  # needs a GPU; --seeds, whose runs are several, is in tests/cli/test_commands.py


def fields(cls):
    """(name, type, default) of all settings, those of nested dataclasses too."""
    for field in dataclasses.fields(cls):
        kind = typing.get_type_hints(cls)[field.name]
        if dataclasses.is_dataclass(kind):
            yield from fields(kind)
        else:
            yield field.name, kind, field.default


def settings(arguments):
    """The values of all settings by name."""
    values = {}
    for field in dataclasses.fields(arguments):
        value = getattr(arguments, field.name)
        values |= settings(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


@functools.cache
def arguments_of(words):
    return parse(TrainArguments, "train", f"{SMALL} {words}".split())


def used(name):
    """All values of a setting among the runs in which it means something."""
    means_something = MEANS_SOMETHING.get(name, lambda config: True)
    parsed = [arguments_of(words) for words in RUNS.values()]
    return [settings(arguments)[name] for arguments in parsed if means_something(arguments.config)]


SETTINGS = {name: (kind, default) for name, kind, default in fields(TrainArguments)}


# These begin processes of their own: tests/runs/test_devices.py and test_processes.py.
MANY_DEVICES = {"devices", "vocab_shards", "coordinator", "processes", "process_id", "heartbeat_timeout"}


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - MANY_DEVICES - {"run", "seeds"}))
def test_every_flag_and_every_choice_has_a_run(name):
    kind, default = SETTINGS[name]
    choices = {True, False} if kind is bool else set(typing.get_args(kind)) if _is_literal(kind) else set()
    values = used(name)
    missing = choices - set(values) - ELSEWHERE
    assert not missing, f"no run with {name} = {missing}"
    assert any(value != default for value in values), f"no run with another {name} than {default}"


def _is_literal(kind):
    return typing.get_origin(kind) is typing.Literal


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with all that the runs read."""
    folder = tmp_path_factory.mktemp("desk")
    write_corpus(folder / "text")
    (folder / "table").mkdir()
    for split in ("train", "valid", "test"):
        lines = (folder / "text" / f"{split}.txt").read_text().splitlines()
        (folder / "table" / f"{split}.csv").write_text("number,line\n" + "".join(f"1,{line}\n" for line in lines))
    (folder / "settings.json").write_text(json.dumps({"model": {"cell": "gru"}, "optimizer": {"clip": 0.5}}))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_full_run(name, desk, monkeypatch, capsys):
    monkeypatch.chdir(desk)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "cache")
    words = f"{SMALL} {RUNS[name]}".split()
    if "bpe" in words:
        pytest.importorskip("tokenizers")
    run = "begun" if "--resume" in words else f"run of {name}"
    if "--resume" in words:
        main(["train", *SMALL.split(), "--run", run])
        words = RUNS[name].split()
    else:
        words += ["--run", run]
    main(["train", *words])
    out = capsys.readouterr().out
    assert "valid after step" in out
    following = out.splitlines()[-1]
    assert following.startswith("next: lm-jax generate ")
    main([*shlex.split(following.removeprefix("next: lm-jax ")), "--tokens", "3"])
    assert "[3 tokens" in capsys.readouterr().err
    results = json.loads((desk / run / "results.json").read_text())
    assert len(results["rows"]) == 12 and all(math.isfinite(row["cross_entropy"]) for row in results["rows"])
    records = read_lines(desk / run / "metrics.jsonl")
    assert records and all(math.isfinite(r.get("loss", 0.0) + r.get("grad_norm", 0.0)) for r in records)
    trained = lm_jax.load(desk / run)
    model, vocabulary = trained.model, trained.vocabulary
    assert model.vocab_size == len(vocabulary)
    main(["generate", run, "--tokens", "5"])
    # all that was asked for is what was recorded
    wanted = settings(arguments_of(RUNS[name]).config)
    saved = settings(lm_jax.runs.folder.RunFolder(desk / run).read()[0])
    differing = {key for key, value in wanted.items() if saved[key] != value}
    from_file = {"cell", "clip"} if "--config-file" in words else set()
    assert differing <= {"data", "decay_steps"} | from_file
