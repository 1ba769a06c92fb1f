"""A program that goes through the entry points with tiny models: python -m tests.entry_points FOLDER.

tests/test_slow_settings.py runs it under JAX's own settings. Prints a line for each that is not finite or fails.
"""

import dataclasses
import sys
import traceback
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import lm_jax
from lm_jax import NGramConfig, TrainConfig
from lm_jax.analysis import gradient_flow, lag_profile
from lm_jax.cells import gru, lstm, rnn
from lm_jax.config import DataConfig, from_flat
from lm_jax.inference import generate, likelihood
from lm_jax.inference.beam_search import beam_search
from lm_jax.models import recurrent_lm, window_lm


TEXT = "the cat sees a dog\na dog runs\n" * 30
TINY = {"hidden_size": 4, "embedding_size": 4, "batch_size": 2, "bptt": 4, "steps": 3, "eval_streams": 2}


def cells():
    """Both engines of all cells, forwards and backwards, with a mask and resets."""
    mask, reset = jnp.array([[1, 1], [1, 0], [1, 0]], bool), jnp.array([[0, 0], [0, 0], [1, 0]], bool)
    for make in (rnn, gru, lstm):
        for recurrence in ("scan", "fused"):
            cell = make(2, 3, recurrence=recurrence)
            params = cell.init(jax.random.key(0))

            def loss(params, cell=cell):
                xs = jnp.ones((3, 2, 2), jnp.float32)
                carry = cell.initial_carry(params, (2,))
                return cell.unroll(params, carry, xs, mask=mask, reset=reset)[1].sum()

            yield from jax.tree.leaves(jax.grad(loss)(params))


def models():
    """Likelihood, samples, beams and gradients of models, the adaptive softmax among them."""
    tokens = np.arange(20) % 7
    for model in (
        recurrent_lm(7, lstm(4, 4)),
        recurrent_lm(7, gru(4, 4), tied=True),
        recurrent_lm(7, lstm(4, 4), cutoffs=(3, 5)),
        recurrent_lm(7, lstm(4, 4), cutoffs=(3,), tied=True),
        window_lm(7, window=2, embedding_size=4, hidden_size=4),
    ):
        params = model.init(jax.random.key(0))
        yield likelihood(model, params, tokens, 0, eval_streams=2).log_prob
        yield generate(model, params, tokens[:3], 4, jax.random.key(0), eol_id=0)
        yield beam_search(model, params, tokens[:3], 3, eol_id=0, beam_size=2).log_probs
    model = recurrent_lm(7, lstm(4, 4))
    params = model.init(jax.random.key(0))
    profile = lag_profile(gradient_flow(model, params, jnp.asarray(tokens[:9, None])), resamples=10)
    yield profile.log_median[:1]


def runs(folder):
    """Training with every kind of averaging and readout, its end, going on, and the questions to it."""
    (folder / "t.txt").write_text(TEXT)
    kinds = {
        "ema": {"averaging": "ema", "cell": "gru"},
        "nt-asgd": {"averaging": "ntasgd", "dropout": 0.2, "optimizer": "sgd"},
        "adaptive": {"level": "word", "cutoffs": [3, 6], "averaging": "ema"},
        "window": {"model": "window", "level": "word"},
    }
    if jax.config.jax_disable_jit:  # minutes each, operation by operation
        kinds = {name: kinds[name] for name in ("ema", "adaptive")}
    for name, settings in kinds.items():
        run = folder / name
        config = from_flat(TrainConfig, {"data": str(folder / "t.txt"), **TINY, **settings})
        yield from jax.tree.leaves(lm_jax.train(config, run=run).params)
        yield from jax.tree.leaves(lm_jax.resume(run, dataclasses.replace(config, steps=5)).params)
        yield lm_jax.evaluate(run).cross_entropy
        yield len(lm_jax.generate(run, "a", tokens=3))
    yield lm_jax.gradients(folder / "ema", length=6, texts=2, max_lag=3).profile["h"].log_median[:1]
    config = NGramConfig(DataConfig(str(folder / "t.txt"), "word"), order=3)
    lm_jax.train(config, run=folder / "ngram")
    yield lm_jax.evaluate(folder / "ngram").cross_entropy
    rows = lm_jax.compare([folder / "adaptive", folder / "ngram"], mixture=True, samples=100, eval_streams=2)
    yield rows[-1].cross_entropy


def main(folder: Path) -> int:
    """Goes through all of them; returns how many failed."""
    failed = 0
    for entry, found in {"cells": cells(), "models": models(), "runs": runs(folder)}.items():
        try:
            for value in found:
                array = np.asarray(value)
                assert array.dtype == bool or np.isfinite(array.astype(np.float64)).all(), array
        except Exception as error:
            print(f"{entry}: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
            traceback.print_exc()
            failed += 1
    return failed


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(Path(sys.argv[1])))
