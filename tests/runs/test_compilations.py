"""What a run compiles: each of its programs once, for compiling is most of what a short run takes."""

import collections
import logging
import re

import jax

import lm_jax
from lm_jax.config import TrainConfig, from_flat


SIZES = {"hidden_size": 7, "embedding_size": 5, "batch_size": 4, "bptt": 8}  # that no other test has compiled
PROGRAMS = ("init", "train_steps", "score", "begin", "extend")


def test_a_run_compiles_every_program_once(tmp_path, caplog):
    """Validations and the closing table share one program, samples two; parameters that a checkpoint brings back run
    through those that the training's own did."""
    (tmp_path / "text.txt").write_text("a cab, a bad cab\nno cab is bad\n" * 1000)
    config = from_flat(TrainConfig, {"data": str(tmp_path / "text.txt"), "steps": 2, "eval_every": 1, **SIZES})
    with jax.log_compiles(), caplog.at_level(logging.WARNING, "jax"):
        lm_jax.train(config, tmp_path / "run", listener=None)
    compiled = collections.Counter(re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text))
    assert {name: compiled[name] for name in PROGRAMS} == dict.fromkeys(PROGRAMS, 1)
