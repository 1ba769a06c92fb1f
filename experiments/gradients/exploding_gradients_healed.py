"""Part 4 of exploding_gradients.py: runs that are made to explode and go back to good states by themselves."""

import json
import shutil
from pathlib import Path

from experiments.harness.runs import trained
from lm_jax.config import TrainConfig, from_flat


SETTINGS = {
    "cell": "rnn",
    "nonlinearity": "relu",
    "hidden_size": 64,
    "embedding_size": 32,
    "learning_rate": 0.3,
    "clip": None,
    "dropout": 0.0,
    "log_every": 50,
    "eval_every": 50,
    "steps": 600,
}
SMOKE = {"hidden_size": 8, "embedding_size": 4, "steps": 24, "eval_every": 12, "log_every": 12}


def healed(folder: Path, seed: int, smoke: bool) -> dict:
    """One run: its validations, its incidents, and how many reports of them it has."""
    config = from_flat(TrainConfig, SETTINGS | {"seed": seed} | (SMOKE if smoke else {}))
    run = trained(config, folder)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    incidents = [{"step": line["step"], **line["incident"]} for line in lines if "incident" in line]
    made = {
        "seed": seed,
        "validations": [[line["step"], line["valid_loss"]] for line in lines if "valid_loss" in line],
        "incidents": [{name: one[name] for name in ("step", "fault", "rate", "back_to")} for one in incidents],
        "reports": len(list(run.folder.glob("incident-*/show.py"))),
    }
    shutil.rmtree(run.folder)
    return made
