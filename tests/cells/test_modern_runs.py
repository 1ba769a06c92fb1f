"""Every cell in a run: trained, stopped, gone on with, read back, and measured by the laboratory."""

import dataclasses

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax import RecurrentConfig, TrainConfig, UserError
from lm_jax.analysis import gradient_flow, lag_profile, lyapunov_exponents
from lm_jax.analysis.trajectory import main_leaf
from lm_jax.config import CELLS, DataConfig, OptimizerConfig
from lm_jax.models import from_config


LATER = [name for name in CELLS if name not in ("rnn", "gru", "lstm")]


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "connection"), [*((cell, "plain") for cell in LATER), ("lru", "block")])
def test_a_run_goes_on_to_the_same_bits(cell, connection, tmp_path):
    (tmp_path / "text.txt").write_text("the students opened their books and\n" * 200)
    model = RecurrentConfig(cell=cell, hidden_size=8, embedding_size=8, layers=2, connection=connection)
    config = TrainConfig(
        model=model,
        data=DataConfig(str(tmp_path / "text.txt")),
        optimizer=OptimizerConfig(learning_rate=0.01, schedule="constant"),
        batch_size=4,
        bptt=16,
        steps=8,
        log_every=4,
    )
    whole = lm_jax.train(config, tmp_path / "whole", listener=lm_jax.Listener())
    lm_jax.train(dataclasses.replace(config, steps=4), tmp_path / "halves", listener=lm_jax.Listener())
    halves = lm_jax.resume(tmp_path / "halves", config)
    jax.tree.map(np.testing.assert_array_equal, whole.params, halves.params)
    text = lm_jax.load(tmp_path / "whole").generate("the ", tokens=5, seed=1)
    assert text and text == lm_jax.load(tmp_path / "halves").generate("the ", tokens=5, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("cell", LATER)
def test_the_laboratory_measures_every_cell(cell):
    model = from_config(RecurrentConfig(cell=cell, hidden_size=6, embedding_size=5), 7)
    params, tokens = model.init(jax.random.key(0)), np.random.default_rng(0).integers(7, size=(24, 2))
    flow = gradient_flow(model, params, tokens)
    profile = lag_profile(flow, leaf=main_leaf(flow.carry[-1]))
    assert np.isfinite(profile.log_median[:3]).all()
    assert np.isfinite(lyapunov_exponents(model, params, tokens, count=2)).all()


def test_blocks_need_one_size():
    config = RecurrentConfig(cell="lru", connection="block", hidden_size=8, embedding_size=4)
    with pytest.raises(UserError, match="block needs an embedding and layers of one size, got embedding_size 4"):
        from_config(config, 5)
