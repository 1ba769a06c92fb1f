"""The same bits: of a run that is made twice, and of one that was stopped and goes on from its checkpoint."""

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from experiments.accelerators.cases import Case
from lm_jax.config import TrainConfig, from_flat
from lm_jax.runs.train import resume, train


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


def bits_case(cell: str, recurrence: str, resumed: bool) -> Case:
    """20 steps, twice: at once, and at once again or with a stop after 10."""

    def run():
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
            folder = Path(name)
            config = settings_of(folder, 20, cell=cell, recurrence=recurrence)
            whole = train(config, folder / "whole").params
            if resumed:
                train(dataclasses.replace(config, steps=10), folder / "other")
                other = resume(folder / "other", config).params
            else:
                other = train(config, folder / "other").params
        count = differing(whole, other)
        return {"right": count == 0, "error": float(count), "bound": 0.0}

    how = "stopped and resumed" if resumed else "run twice"
    return Case("right", f"same bits, {how}: {cell} {recurrence}", 25.0, run)


def bit_cases() -> Iterator[Case]:
    """Of the two engines that every device has."""
    yield bits_case("lstm", "auto", resumed=True)
    yield bits_case("lstm", "fused", resumed=False)
    yield bits_case("gru", "scan", resumed=False)
