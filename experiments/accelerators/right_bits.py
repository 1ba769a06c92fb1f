"""The same bits: of a run that is made twice, and of one that was stopped and goes on from its checkpoint."""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from experiments.accelerators.cases import Case
from lm_jax.config import TrainConfig, from_flat, to_dict
from lm_jax.runs.train import resume, train


TWICE, RESUMED, ELSEWHERE = "run twice", "stopped and resumed", "stopped and resumed by another process"
TEXT = "the cat sees a dog\na dog runs from the cat\nthe dog sees the cat run\n" * 40


def settings_of(folder: Path, steps: int, **settings) -> TrainConfig:
    """A small run on one device."""
    path = folder / "text.txt"
    path.write_text(TEXT)
    small = {"hidden_size": 32, "embedding_size": 16, "batch_size": 8, "bptt": 8, "dropout": 0.1, "eval_streams": 2}
    plan = {"steps": steps, "eval_every": 1000, "log_every": 1000, "decay_steps": 20}
    return from_flat(TrainConfig, {"data": str(path), **small, **plan, **settings})


def differing(one, other) -> int:
    """How many numbers of two trees are not the same bits."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return int(sum(np.sum(np.asarray(a) != np.asarray(b)) for a, b in pairs))


RESUME = """
import json, sys
from lm_jax.config import TrainConfig, from_dict
from lm_jax.runs.train import resume
resume(sys.argv[1], from_dict(TrainConfig, json.loads(sys.argv[2])))
"""


def resume_elsewhere(run: Path, config: TrainConfig):
    """Goes on with a run in a process of its own, and returns it."""
    command = [sys.executable, "-c", RESUME, str(run), json.dumps(to_dict(config))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, map(str, sys.path)))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or [""])[-1])
    return resume(run, config)  # which is over: it is only read


def bits_case(cell: str, recurrence: str, how: str) -> Case:
    """20 steps, twice: at once, and in one of three ways."""

    def run():
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
            folder = Path(name)
            config = settings_of(folder, 20, cell=cell, recurrence=recurrence)
            whole = train(config, folder / "whole").params
            if how == TWICE:
                other = train(config, folder / "other").params
            else:
                train(dataclasses.replace(config, steps=10), folder / "other")
                other = (resume if how == RESUMED else resume_elsewhere)(folder / "other", config).params
        count = differing(whole, other)
        return {"right": count == 0, "error": float(count), "bound": 0.0}

    return Case("right", f"same bits, {how}: {cell} {recurrence}", 20.0, run)


def bit_cases(platform: str) -> Iterator[Case]:
    """Of the two engines that every device has; a TPU belongs to one process."""
    yield bits_case("lstm", "auto", RESUMED)
    if platform != "tpu":
        yield bits_case("lstm", "auto", ELSEWHERE)
    yield bits_case("lstm", "fused", TWICE)
    yield bits_case("gru", "scan", TWICE)
