"""What is told of a finished run beside its scores, whatever the family of its model."""

import json
from pathlib import Path
from typing import Any

from lm_jax.errors import UserError
from lm_jax.models.ngram.estimate import NOT_PROBABILITIES
from lm_jax.models.ngram.tables import BackoffParams
from lm_jax.runs.folder import RunFolder
from lm_jax.runs.results import count_parameters
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.types import Params


LOGS = ("metrics.jsonl", "times.jsonl", "results.json", "loss.png")  # what a model is used without


def run_facts(run: str | Path, config: Any, params: Params) -> dict[str, Any]:
    """family ("n-gram" or the kind of network), parameters or ngrams (the other is None), bytes, training_seconds, and
    weights, None as of all that is no mixture."""
    counted = isinstance(params, BackoffParams)
    return {
        "family": "n-gram" if counted else _network(config.model),
        "parameters": None if counted else count_parameters(params),
        "ngrams": sum(params.sizes) if counted else None,
        "bytes": bytes_on_disk(run),
        "training_seconds": training_seconds(run),
        "weights": None,
    }


def _network(config):
    return config.cell if config.model == "recurrent" else config.model


def bytes_on_disk(run: str | Path) -> int:
    """What a model takes to be used: the parameters of the best step or the tables, the settings, the vocabulary."""
    folder = RunFolder(Path(run))
    if folder.states.is_dir():
        with Checkpoints(folder.states) as states:
            params = folder.states / str(states.best_step) / "params"
        files = [folder.path / "config.json", folder.path / "vocabulary.json", *params.rglob("*")]
    else:
        files = [file for file in folder.path.iterdir() if file.name not in LOGS]
    return sum(file.stat().st_size for file in files if file.is_file())


def training_seconds(run: str | Path) -> float | None:
    """Wall time of all sessions, validations included, as results.json has it; None for a run that has not ended."""
    try:
        return json.loads((Path(run) / "results.json").read_text()).get("seconds")
    except (OSError, ValueError):
        return None


def refuse_unscorable(run: str | Path, config: Any, record: dict[str, Any], data: str | None) -> None:
    """Raises UserError for a run without a text where no other (`data`) is given, and for an estimator whose numbers
    do not sum to one: exp(J) of them is no perplexity."""
    if data is None and record["corpus"]["sha256"] is None:
        raise UserError(f"a run made from an ARPA file has no text of its own: give --data, got none for {run}")
    if config.family == "ngram" and config.method in NOT_PROBABILITIES:
        raise UserError(
            f"perplexity needs probabilities that sum to one, got a run of {config.method}, which scores ({run})"
        )
