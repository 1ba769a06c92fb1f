"""Several seeds at once: each run is the run of its seed alone, and the means are means."""

import dataclasses
import json
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.data.batching import Streams
from lm_jax.runs.folder import read_lines
from lm_jax.runs.setup import set_up
from lm_jax.tasks import task_of
from lm_jax.training.side_by_side import in_turn, vmapped
from tests.runs.toy import Events, assert_equal_runs, toy_config, write_corpus


SEEDS = 2


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def together(tmp_path_factory, corpus):
    """Seeds 5 and 6 with dropout, and what the listener was told."""
    events = Events()
    config = toy_config(corpus, seed=5, dropout=0.2)
    return lm_jax.train_seeds(config, SEEDS, tmp_path_factory.mktemp("runs") / "all", events), events


def test_a_seed_is_its_run_alone_bit_for_bit(together, corpus, tmp_path):
    """On a CPU, where they take turns: checkpoints and logs."""
    folder = together[0].folder
    assert sorted(path.name for path in folder.iterdir()) == ["seed-5", "seed-6", "seeds.json"]
    alone = lm_jax.train(toy_config(corpus, seed=6, dropout=0.2), tmp_path / "alone")
    assert_equal_runs(folder / "seed-6", alone.folder, step=20)
    expected, found = (json.loads((run / "results.json").read_text()) for run in (alone.folder, folder / "seed-6"))
    different = {"run", "seconds", "checksum"}
    assert {k: v for k, v in found.items() if k not in different} == {
        k: v for k, v in expected.items() if k not in different
    }


def test_each_can_be_loaded_and_the_seeds_differ(together):
    for run in together[0].runs:
        params = lm_jax.load(run.folder).params
        jax.tree.map(np.testing.assert_array_equal, params, run.params)
        assert lm_jax.evaluate(run.folder).cross_entropy == run.results.closing.rows[-1].cross_entropy
    first, second = together[0].runs
    assert (first.params.embedding != second.params.embedding).all()


def test_the_results_are_means_with_standard_errors(together):
    found, _ = together
    record = {name: value for name, value in found.results._asdict().items() if name != "command"}
    assert json.loads((found.folder / "seeds.json").read_text()) == record
    for split in ("train", "valid", "test"):
        for name in ("cross_entropy", "perplexity"):
            values = [
                getattr(row, name)
                for run in found.runs
                for row in run.results.closing.rows
                if row.split == split and row.model == "LSTM 1x8"
            ]
            told = found.results.splits[split][name]
            assert told["mean"] == pytest.approx(sum(values) / 2)
            assert told["error"] == pytest.approx(statistics.stdev(values) / 2**0.5)
    assert found.results.runs == ["seed-5", "seed-6"]


def test_the_listener_hears_means(together):
    found, events = together
    logs = [read_lines(run.folder / "metrics.jsonl") for run in found.runs]
    reports = [report for (report,) in events.of("on_report")]
    validations = [validation for (validation,) in events.of("on_validation")]
    assert len(reports) == 4 and len(validations) == 3

    def logged(step, key):
        return [next(r for r in log if r["step"] == step and key in r)[key] for log in logs]

    for report in reports:
        assert report.loss == pytest.approx(statistics.fmean(logged(report.step, "loss")))
    for validation in validations:
        values = logged(validation.step, "valid_loss")
        assert validation.score.loss == pytest.approx(statistics.fmean(values))
        assert validation.error["loss"] == pytest.approx(statistics.stdev(values) / 2**0.5)
    assert len(events.of("on_start")) == 1 and len(events.of("on_end")) == 1
    assert events.of("on_start")[0][0].seeds == 2


@pytest.mark.slow
def test_one_that_stops_early_does_not_hold_up_the_others(corpus, tmp_path):
    """With patience, and a rate at which nothing improves for long."""
    config = toy_config(corpus, steps=24, eval_every=2, patience=1, learning_rate=0.3, schedule="constant")
    events = Events()
    found = lm_jax.train_seeds(config, 3, tmp_path / "all", events)
    ends = [run.results.step for run in found.runs]
    assert len(set(ends)) > 1 and all(run.results.finished_early for run in found.runs)
    assert [validation.step for (validation,) in events.of("on_validation")] == list(range(2, max(ends) + 1, 2))
    assert found.results.splits.keys() == {"train", "valid", "test"}


def test_a_stop_is_for_all_and_each_goes_on_alone(together, corpus, tmp_path):
    config = toy_config(corpus, seed=5, dropout=0.2)
    found = lm_jax.train_seeds(config, SEEDS, tmp_path / "all", Events(stop_at=5))
    assert found.results.stopped and found.results.splits == {}
    assert all(5 <= run.results.step < 20 for run in found.runs)
    lm_jax.resume(found.folder / "seed-6")
    assert_equal_runs(found.folder / "seed-6", together[0].folder / "seed-6", step=20)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stream", "sentence"])
def test_vmapped_steps_are_those_in_turn(corpus, mode):
    """Up to rounding, with dropout, masks and batches of each seed's own order; integers and keys exactly."""
    config = toy_config(corpus, mode=mode, dropout=0.2, recurrence="fused")
    texts = lm_jax.data.load_corpus(corpus, "char")
    setups = [set_up(task_of(config), dataclasses.replace(config, seed=seed), texts, 20) for seed in range(SEEDS)]
    streams = [jax.tree.map(jnp.asarray, Streams(*setup.batches.epoch(0))) for setup in setups]
    found = []
    for make in (in_turn, vmapped):
        advance = make(setups[0].train_steps)
        states = advance([setup.create() for setup in setups], streams, 1, 8)
        found.append(advance(states, streams, 4, 8))
    for state, expected in zip(found[1], found[0], strict=True):
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
            if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
                a, b = jax.random.key_data(a), jax.random.key_data(b)
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    assert (found[1][0].params.embedding != found[1][1].params.embedding).any()


@pytest.mark.parametrize(
    ("changes", "seeds", "message"),
    [
        ({}, 1, "seeds must be at least 2, for a standard error, got 1"),
        ({}, 0, "seeds must be a whole number of at least 1, got 0"),
        ({"random_bptt": True}, 2, "random_bptt must be left out with several seeds, got True"),
        ({"devices": 2}, 2, "devices must be left out with several seeds, got 2"),
        ({"recurrence": "cudnn"}, 2, "recurrence must be another than cudnn with several seeds, got cudnn"),
        ({"seed": 2**31 - 2}, 3, f"seed must be a whole number from 0 to {2**31 - 1}, got {2**31}"),
    ],
)
def test_what_cannot_be_is_refused(corpus, tmp_path, changes, seeds, message):
    with pytest.raises(UserError, match=message):
        lm_jax.train_seeds(toy_config(corpus, **changes), seeds, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_folder_of_all_is_no_run(together):
    for action in (lm_jax.load, lm_jax.resume, lm_jax.evaluate):
        with pytest.raises(UserError, match="a run of several seeds has a folder for each, seed-N; choose one, got"):
            action(together[0].folder)
