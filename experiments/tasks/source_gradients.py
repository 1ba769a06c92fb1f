"""Why was attention needed? How much of the gradient of a translated word is left at each distance in the source.

    python experiments/tasks/source_gradients.py --data FOLDER   110 minutes, two translators; 2 minutes given both
    python experiments/tasks/source_gradients.py --data FOLDER --runs RUNS   2 minutes: only measures finished runs
    python experiments/tasks/source_gradients.py                 4 minutes of processor time, dates made here

Two translators that differ in attention alone turn written dates into ISO form, character by character; both read the
source from left to right. With --data, the folder of Multi30k, they are those of experiments/tasks/translation.py, and
RUNS is its folder of runs (checkpoints/translation); without finished runs there they are trained first. Measured is
the norm of the derivative of log P(target token), given the true ones before it, by the vector of every source token.
The distance of the two is the number of recurrent steps from reading one to writing the other, on the shortest way that
does not use attention.

Expected: without attention every step costs a part of the gradient, so that the norm falls exponentially with distance;
with attention it does not depend on distance before training, and afterwards on what the token is about. Training makes
the fall without attention slower: it learns to keep what it needs.
"""

import argparse
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import Study, integer
from experiments.harness.runs import trained
from experiments.tasks import translation
from experiments.tasks.source_gradients_findings import STAGES, findings
from lm_jax.analysis import SourceGradients, answer_gradients
from lm_jax.config import TranslateConfig, from_flat
from lm_jax.data.buckets import Bucketed, lay_out
from lm_jax.models.translator import teacher_forced
from lm_jax.tasks import task_of


FORMS = {"attention": {"attention": "additive"}, "no attention": {"attention": "plain"}}
SMALL = {"bidirectional": False, "hidden_size": 64, "embedding_size": 32, "dropout": 0.0, "epochs": 3, "beam_size": 1}
SMOKE = {"hidden_size": 8, "embedding_size": 8, "epochs": 1, "steps": 4, "log_every": 2}
ROWS = 32  # sentences that are measured at once
STUDY = Study(
    __doc__,
    __file__,
    {
        "--data": {"help": "folder of Multi30k; default: dates made by the program"},
        "--sentences": integer(128, "how many test sentences"),
        "--seed": integer(0),
    },
)


def settings(form: str, arguments: argparse.Namespace) -> TranslateConfig:
    """Small translators of dates, or those of the study of translation."""
    if arguments.data is not None and not arguments.smoke:
        return translation.settings(form, arguments, arguments.seed)
    changes = SMALL | FORMS[form] | (SMOKE if arguments.smoke else {})
    return dataclasses.replace(from_flat(TranslateConfig, changes), seed=arguments.seed)


def columns(rows: list[np.ndarray]) -> np.ndarray:
    """Sentences of ids side by side, [T, B], padded with -1."""
    return lay_out(Bucketed(np.arange(len(rows))[None], np.asarray([max(map(len, rows))])), rows)


def distances(source: np.ndarray, target: np.ndarray, config: TranslateConfig) -> np.ndarray:
    """Recurrent steps from reading each source token to writing each target token, [T, S, B]; 0 at padding."""
    places, lengths = np.arange(len(source))[:, None], (source >= 0).sum(axis=0)
    from_start, from_end = places + 1, lengths - places  # of encoders that end at the first, and at the last token
    steps = from_start if config.model.reverse_source else from_end
    steps = np.minimum(from_start, from_end) if config.model.bidirectional else steps
    total = steps[None] + np.arange(len(target))[:, None, None]
    return np.where((source >= 0)[None] & (target >= 0)[:, None], total, 0)


def gradients(model: Any, params: Any, source: np.ndarray, target: np.ndarray, eol_id: int) -> SourceGradients:
    """Gradients of every target token by every source token."""
    answers = teacher_forced(jnp.asarray(target), eol_id)
    return answer_gradients(model.opened, params, np.maximum(source, 0), answers, jnp.asarray(source >= 0))


def by_distance(norms: list[np.ndarray], steps: list[np.ndarray]) -> list[dict[str, Any]]:
    """Mean and quartiles of the norms at each distance."""
    norm, step = (np.concatenate([one.ravel() for one in of]) for of in (norms, steps))
    rows = []
    for distance in np.unique(step[step > 0]):
        found = norm[step == distance]
        low, high = np.quantile(found, (0.25, 0.75))
        row = {"distance": int(distance), "pairs": len(found), "mean": float(found.mean())}
        rows.append(row | {"low": float(low), "high": float(high)})
    return rows


def measure(form: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The gradients of one form of translator, before and after training."""
    config = settings(form, arguments)
    run = trained(config, arguments.runs / f"{form.replace(' ', '-')}-{config.seed}")
    test, eol_id = task_of(config).load(config, None).splits["test"], run.vocabulary.target.eol_id
    count = min(len(test.sources), 8 if arguments.smoke else arguments.sentences)
    untrained = run.model.init(jax.random.key(config.seed))
    result: dict[str, Any] = {"form": form, "seed": config.seed, "sentences": count}
    for stage, params in zip(STAGES, (untrained, run.params), strict=True):
        norms, steps, example = [], [], None
        for start in range(0, count, ROWS):
            part = slice(start, min(start + ROWS, count))
            source, target = columns(test.sources[part]), columns(test.targets[part])
            norms.append(gradients(run.model, params, source, target, eol_id).inputs)
            steps.append(distances(source, target, config))
            example = norms[0][: len(test.targets[0]), : len(test.sources[0]), 0] if start == 0 else example
        result[stage] = {"by distance": by_distance(norms, steps), "example": np.asarray(example).tolist()}
    pair = test.pairs[0]
    result["source"] = run.vocabulary.source_tokens(pair.source)
    result["target"] = [*run.vocabulary.target_tokens(test.targets[0][:-1]), "⏎"]
    last = run.results["rows"][-1]
    return result | {"exact": last["exact"], "nats": last["cross_entropy"], "seconds": run.results["seconds"]}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures both forms."""
    return {"forms": {form: measure(form, arguments) for form in FORMS}}


if __name__ == "__main__":
    STUDY.main(run, findings)
