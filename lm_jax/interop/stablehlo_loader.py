"""Reads a language model that lm_jax exported, with jax, flatbuffers and numpy alone. tokens.json has its tokens by id.

start(batch) returns the carry of B = batch sequences. step(carry, tokens [B]) returns the next carry and the
log-probability of every next token [B, V]. score(carry, inputs [T, B], targets [T, B]) returns the last carry and the
log-probability of every target [T, B]. Logarithms are natural. Every text begins after an end of line, id `first`.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from jax import export


def load(folder=Path(__file__).parent):
    """Returns start, step, score, the list of tokens, and the id of the first one."""
    names = ("start", "step", "score")
    programs = {
        name: export.deserialize(bytearray((Path(folder) / f"{name}.stablehlo").read_bytes())) for name in names
    }
    with np.load(Path(folder) / "weights.npz", allow_pickle=False) as file:
        weights = [file[f"{number}"] for number in range(len(file.files))]
    return SimpleNamespace(
        start=lambda batch=1: programs["start"].call(weights, np.zeros(batch, np.int32)),
        step=lambda carry, tokens: programs["step"].call(weights, carry, np.asarray(tokens, np.int32)),
        score=lambda carry, *pair: programs["score"].call(weights, carry, *(np.asarray(t, np.int32) for t in pair)),
        **json.loads((Path(folder) / "tokens.json").read_text(encoding="utf-8")),
    )
