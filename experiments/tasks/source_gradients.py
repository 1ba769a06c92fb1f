"""Why was attention needed? How much of the gradient of a translated word is left at each distance in the source.

    python experiments/tasks/source_gradients.py                              4 minutes of processor time
    python experiments/tasks/source_gradients.py --data FOLDER --runs RUNS    seconds: only measures finished runs

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

from experiments.harness import Findings, Study, integer
from experiments.harness.figures import draw_lines, finish, panels
from experiments.harness.runs import trained
from experiments.tasks import translation
from lm_jax.analysis import SourceGradients, answer_gradients
from lm_jax.config import TranslateConfig, from_flat
from lm_jax.data.buckets import Bucketed, lay_out
from lm_jax.models.translator import teacher_forced
from lm_jax.report.source_map import shares, visible
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES
from lm_jax.tasks import task_of


FORMS = {"attention": {"attention": "additive"}, "no attention": {"attention": "plain"}}
SMALL = {"bidirectional": False, "hidden_size": 64, "embedding_size": 32, "dropout": 0.0, "epochs": 3, "beam_size": 1}
SMOKE = {"hidden_size": 8, "embedding_size": 8, "epochs": 1, "steps": 4, "log_every": 2}
STAGES = ("before training", "after training")
FEWEST = 20  # pairs of tokens at a distance that is drawn
ROWS = 32  # sentences that are measured at once
NEAR, FAR = (1, 5), (20, 24)  # distances that are compared
STUDY = Study(
    __doc__,
    __file__,
    "Why attention was needed",
    {
        "--data": {"help": "folder of Multi30k; default: dates made by the program"},
        "--sentences": integer(128, "how many test sentences"),
        "--seed": integer(0),
    },
)


def settings(form: str, arguments: argparse.Namespace) -> TranslateConfig:
    """Small translators of dates, or those of the study of translation."""
    if arguments.data is not None and not arguments.smoke:
        return translation.settings(form, arguments)
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


def mean_over(rows: list[dict[str, Any]], bounds: tuple[int, int]) -> float:
    """The mean norm over all pairs of tokens whose distance is within the bounds."""
    chosen = [row for row in rows if bounds[0] <= row["distance"] <= bounds[1]]
    pairs = sum(row["pairs"] for row in chosen)
    return sum(row["mean"] * row["pairs"] for row in chosen) / pairs if pairs else float("nan")


def to_rows(results: dict[str, dict]) -> list[dict[str, Any]]:
    """A line for each form and stage: the norm near and far, and what is left."""
    rows = []
    for form, result in results.items():
        for stage in STAGES:
            near, far = (mean_over(result[stage]["by distance"], bounds) for bounds in (NEAR, FAR))
            row = {"form": form, "stage": stage, "near": near, "far": far, "left": far / near}
            rows.append(row | {"exact": result["exact"] if stage == STAGES[1] else None})
    return rows


def draw(results: dict[str, dict]):
    """Mean norm against distance, a panel a stage, a line a form, with quartiles as bands."""
    figure, axes = panels((9.8, 4.0), 1, 2, sharey=True)
    ends = []
    for panel, stage in zip(axes, STAGES, strict=True):
        lines = {}
        for (form, result), colour in zip(results.items(), SERIES, strict=False):
            rows = [row for row in result[stage]["by distance"] if row["pairs"] >= FEWEST]
            x = [row["distance"] for row in rows]
            panel.fill_between(x, *([row[k] for row in rows] for k in ("low", "high")), color=colour, alpha=0.15, lw=0)
            lines[form] = (x, [row["mean"] for row in rows], colour)
        panel.set_yscale("log")
        ends.append(draw_lines(panel, lines))
    for panel, stage, of_stage in zip(axes, STAGES, ends, strict=True):  # names stand where the shared axis ends
        finish(panel, of_stage, xlabel="recurrent steps from the source to the target token")
        far = " to ".join(map(str, FAR))
        panel.set_title(f"{stage}, left after {far} steps:\n{left_over(results, stage)}", fontsize=9, loc="left")
    axes[0].set_ylabel("gradient norm of log P(target token)\n(nats by unit of the source vector)")
    return figure


def left_over(results: dict[str, dict], stage: str) -> str:
    """The mean norm far away as a share of that nearby, of each form."""
    rows = [row for row in to_rows(results) if row["stage"] == stage]
    return ", ".join(f"{row['left']:.2g} with {row['form']}" for row in rows)


def draw_example(results: dict[str, dict]):
    """One sentence after training: a row a target token, a column a source token, the share of the row as colour."""
    first = next(iter(results.values()))
    width = max(4.2, 0.17 * len(first["source"]) + 1.2)
    top = max(shares(np.asarray(result[STAGES[1]]["example"])).max() for result in results.values())
    figure, axes = panels((2 * width, max(3.0, 0.22 * len(first["target"]) + 1.6)), 1, len(results), sharey=True)
    images = []
    for panel, (form, result) in zip(axes, results.items(), strict=True):
        of_words = shares(np.asarray(result[STAGES[1]]["example"]))
        images.append(panel.imshow(of_words, cmap="viridis", vmin=0.0, vmax=top, aspect="auto"))
        turned = 90 if max(map(len, result["source"])) > 1 else 0
        for set_ticks, tokens, angle in (
            (panel.set_xticks, result["source"], turned),
            (panel.set_yticks, result["target"], 0),
        ):
            set_ticks(range(len(tokens)), [visible(t) for t in tokens], rotation=angle, fontsize=8, parse_math=False)
        panel.set_title(f"{form}: {of_words.max(axis=1).mean():.0%} of a row on one token", fontsize=9, loc="left")
        panel.set_xlabel("source token")
    axes[0].set_ylabel("target token")
    figure.colorbar(images[0], ax=list(axes), label="share of the gradient norm of log P(target token)")
    return figure


def findings(results: dict[str, dict]) -> Findings:
    """The answer, the table and the pictures."""
    rows, parts = to_rows(results), []
    for stage in STAGES:
        parts.append(f"{stage} {left_over(results, stage)}")
    exact = ", ".join(f"{result['exact']:.1%} with {form}" for form, result in results.items())
    near, far = (f"{low} to {high}" for low, high in (NEAR, FAR))
    caption = (
        "Mean norm of the derivative of log P(target token) by the vector of a source token, against the recurrent "
        "steps between them; bands hold the middle half of the pairs of tokens."
    )
    return Findings(
        answer=f"Gradient norm {far} steps away as a share of that {near} steps away: {'; '.join(parts)}. "
        f"Exact translations: {exact}.",
        results={"forms": results},
        rows=rows,
        pictures=[
            Picture("source_gradients", draw(results), caption),
            Picture("example", draw_example(results), "One test sentence after training; each row adds up to 1."),
        ],
        seeds=sorted({result["seed"] for result in results.values()}),
    )


def run(arguments: argparse.Namespace) -> Findings:
    """Measures both forms."""
    return findings({form: measure(form, arguments) for form in FORMS})


if __name__ == "__main__":
    STUDY.main(run)
