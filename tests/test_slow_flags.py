"""Every flag and every choice of `lm-jax train` is used by at least one full small run."""

import dataclasses
import functools
import json
import math
import shlex
from unittest import mock

import pytest

import lm_jax
from lm_jax.cli.main import main
from lm_jax.cli.parsing import parse_with_config
from lm_jax.cli.train import TrainArguments, make_config
from lm_jax.config import TrainConfig
from lm_jax.config.flat import flat_settings, flat_values
from lm_jax.config.settings import choices
from lm_jax.runs.folder import read_lines
from lm_jax.runs.open import open_run
from tests.runs.toy import write_corpus


SMALL = "--data text --steps 4 --batch-size 4 --bptt 8 --hidden-size 8 --log-every 2 --eval-every 3"
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
    "sampling": "--scheduled-sampling 0.3 --device-tokens 200",
    "window": "--model window --window 3 --direct --layer-norm --layers 2 --connection residual --nonlinearity relu "
    "--dropout 0.1 --tied",
    "plain window": "--model window --window 2 --no-direct --no-layer-norm",
    "table": "--data table --text-column line",
    "file": "--config-file settings.json",
    "goes on": "--resume begun --steps 6 --mirror mirror",
    "from spikes": "--on-spike rollback --steps 204 --eval-every 102",
    "guarded": "--on-nonfinite halve-lr --good-states 3 --level word --tokenizer simple --lower",
    "strict": "--on-nonfinite stop",
    "tightened": "--on-nonfinite tighten-clip --clip 0.5",
    "minimal": "--cell mingru --recurrence associative --layers 2 --connection block",
    "minimal lstm": "--cell minlstm --recurrence associative",
    "eigenvalues": "--cell lru --r-min 0.5 --r-max 0.9 --max-phase 1",
    "convolved": "--cell rglru --convolution 3",
    "exponential": "--cell slstm --heads 2 --forget exponential",
    "matrix": "--cell mlstm --heads 2 --recurrence chunkwise",
    "corrected": "--cell gated_deltanet --beta-max 1",
    "oscillators": "--cell cornn --dt 0.05 --gamma 2 --epsilon 4",
    "diagonal": "--cell diagonal_gru",
    "diagonal lstm": "--cell diagonal_lstm",
    "attention": "--model attention --context 5 --heads 2 --kv-heads 1 --feed-forward-size 12",
    "logged": "--log tensorboard",
    "as BERT": "--level word --tokenizer bert",
    "each digit": "--level word --tokenizer digits",
    "by script": "--level word --tokenizer scripts",
}
# A run that lacks what a setting means something beside does not use it; other kinds than its own refuse it.
MEANS_SOMETHING = {
    "connection": lambda c: c.model.layers > 1,
    "dropout_kind": lambda c: bool(c.model.dropout),
    "weight_decay": lambda c: c.optimizer.optimizer == "adamw",
}


# need a GPU, a TPU; --seeds, whose runs are several, is in tests/cli/test_commands.py, FILE in test_help.py
ELSEWHERE = {"cudnn", "pallas"}


def small(words):
    """The words of a small run; a Transformer's embedding is as large as its layers."""
    return f"{SMALL} {words}" if "attention" in words else f"{SMALL} --embedding-size 8 {words}"


@functools.cache
def parsed(words):
    """What a command line gives: (arguments of the verb, settings by name)."""
    with mock.patch("lm_jax.cli.parsing._check_runs"):  # the run to resume is made by the test that resumes it
        return parse_with_config(TrainArguments, TrainConfig, "train", small(words).split())


def config_of(words):
    return make_config(parsed(words)[1])


def used(name):
    """All values of a setting among the runs in which it means something."""
    means_something = MEANS_SOMETHING.get(name, lambda config: True)
    found = []
    for words in RUNS.values():
        arguments, given = parsed(words)
        if means_something(config_of(words)):
            found += [given[name]] if name in given else [getattr(arguments, name)] if hasattr(arguments, name) else []
    return [tuple(value) if isinstance(value, list) else value for value in found]


def settings():
    """(default, choices) of every flag."""
    found = {field.name: (field.default, set()) for field in dataclasses.fields(TrainArguments)}
    for one in flat_settings(TrainConfig):
        default, kinds = one.field.default, one.field.metadata.get("kinds")
        options = {True, False} if one.field.type is bool else set(kinds or choices(one.field.type) or ())
        earlier = found[one.name][1] if one.name in found else set()
        found[one.name] = (default.kind if kinds else default, options | earlier)
    return found


SETTINGS = settings()


# Weights to begin with are in tests/cli/test_convert.py.
WEIGHTS = {"init_from", "vocabulary"}
# A run that begins with a step of another is in tests/runs/test_incidents.py.
BRANCH = {"from_step"}
# These begin processes of their own: tests/runs/test_devices.py and test_processes.py.
MANY_DEVICES = {"devices", "vocab_shards", "coordinator", "processes", "process_id", "heartbeat_timeout"}


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - MANY_DEVICES - WEIGHTS - BRANCH - {"run", "seeds", "file"}))
def test_every_flag_and_every_choice_has_a_run(name):
    default, options = SETTINGS[name]
    values = used(name)
    missing = options - set(values) - ELSEWHERE - {default}
    assert not missing, f"no run with {name} = {missing}"
    assert any(value != default for value in values), f"no run with another {name} than {default}"


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
    words = small(RUNS[name]).split()
    if {"bpe", "bert", "digits", "scripts"} & set(words):
        pytest.importorskip("tokenizers")
    run = "begun" if "--resume" in words else f"run of {name}"
    if "--resume" in words:
        main(["train", *small("").split(), "--run", run])
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
    # all that was asked for is what was recorded; None asks for nothing: the text or the number of steps decides
    wanted = flat_values(config_of(RUNS[name]))
    saved = flat_values(open_run(desk / run).config)
    differing = {key for key, value in wanted.items() if value is not None and saved.get(key) != value}
    from_file = {"cell", "clip", "forget_bias"} if "--config-file" in words else set()
    assert differing <= {"data"} | from_file
