"""Runs with averaged weights and every regulariser, stopped and resumed."""

import pytest

import lm_jax
from tests.runs.toy import assert_equal_runs, saved_arrays, toy_config, write_corpus


EVERYTHING = {
    "model": {"layers": 2, "embedding_size": 8, "tied": True, "dropout": 0.2, "dropout_kind": "locked"},
    "weights": {"dropout_embedding": 0.1, "weight_drop": 0.3, "weight_decay": 1e-5},
    "penalties": {"activation_reg": 2.0, "temporal_reg": 1.0, "scheduled_sampling": 0.1},
    "chunks": {"random_bptt": True, "accumulate": 2, "eval_every": 2, "checkpoint_every": 3},
    # far too high, so that the loss stalls early
    "optimizer": {"optimizer": "sgd", "learning_rate": 8.0, "schedule": "constant"},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("averaging", "mode"), [({"averaging": "ntasgd", "nonmono": 1}, "sentence"), ({"averaging": "ema"}, "stream")]
)
def test_a_run_with_every_regulariser_resumes_bit_for_bit(averaging, mode, tmp_path):
    """Ten steps and ten more are twenty steps."""
    settings = {name: value for part in EVERYTHING.values() for name, value in part.items()}
    ten, twenty = (
        toy_config(write_corpus(tmp_path / "text"), mode=mode, steps=steps, **averaging, **settings)
        for steps in (10, 20)
    )
    straight = lm_jax.train(twenty, tmp_path / "straight")
    lm_jax.train(ten, tmp_path / "resumed")
    resumed = lm_jax.resume(tmp_path / "resumed", twenty)
    assert_equal_runs(resumed.folder, straight.folder, step=20)
    assert saved_arrays(straight.folder, 20)["['train']['average']"] > 1  # steps that are in it: the mean has begun
    for name in ("step", "best_step", "rows", "sample"):
        assert resumed.results.to_json()[name] == straight.results.to_json()[name]
