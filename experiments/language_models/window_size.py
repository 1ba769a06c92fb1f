"""What does a larger window buy? The fixed-window model with 1, 2, 4, 8 and 16 tokens, on the default corpus.

    python experiments/language_models/window_size.py               about 5 minutes on 2 CPU cores
    python experiments/language_models/window_size.py --data FILE   another text, by character

The model is that of Bengio et al. 2003: 32-dimensional embeddings, one tanh layer of 128 units, four epochs, three
seeds.

Expected: perplexity falls steeply up to four tokens, a little more to eight, and from eight to sixteen only on the
training text: on the validation and test texts the difference is within that of the seeds. The parameters grow by
32 * 128 for every token more. No position shares its weights with another, and they come out different: the norm of a
position's block of weights is largest for the newest token and falls with the distance (at the start all blocks of a
model have about the same norm, sqrt(128 / window)).
"""

from pathlib import Path

import numpy as np

from experiments.harness import Findings, Study
from experiments.harness.figures import finish, panels
from experiments.harness.rows import groups, only, where
from experiments.harness.runs import trained
from lm_jax.config import DataConfig, TrainConfig, WindowConfig
from lm_jax.data import load_corpus
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES, SPLIT_COLOURS


STUDY = Study(__doc__, __file__, "What a larger window buys", {"--data": {"help": "another text, by character"}})
WINDOWS = (1, 2, 4, 8, 16)
SEEDS = (0, 1, 2)
WINDOW_COLOURS = dict(zip(WINDOWS, (SERIES[k] for k in (3, 4, 1, 2, 0)), strict=True))


def settings(window: int, seed: int, arguments) -> TrainConfig:
    """One layer over `window` tokens."""
    size = {"embedding_size": 4, "hidden_size": 8} if arguments.smoke else {"embedding_size": 32, "hidden_size": 128}
    length = {"steps": 6} if arguments.smoke else {"epochs": 4}
    model = WindowConfig(window=window, **size)
    return TrainConfig(data=DataConfig(arguments.data), model=model, seed=seed, **length)


def measure(window: int, seed: int, arguments) -> dict:
    """What one run has come to."""
    text = Path(arguments.data).stem if arguments.data else "default"
    results = trained(settings(window, seed, arguments), arguments.runs / text / f"{window}-{seed}").results
    scores = {row["split"]: row for row in results["rows"]}  # the model's own row is the last of its split
    return {
        "window": window,
        "seed": seed,
        "parameters": results["parameters"],
        **{name: {split: row[name] for split, row in scores.items()} for name in ("perplexity", "bits_per_character")},
        "position_norms": results["position_norms"],
    }


def mean(results: list[dict], window: int, value) -> np.ndarray:
    """The mean over seeds of what `value` takes from a result."""
    return np.mean([value(result) for result in where(results, window=window)], axis=0)


def draw(results: list[dict]):
    """Perplexity and parameters against the window, and the norms of the positions, a labelled line a window."""
    figure, (left, middle, right) = panels((13, 4.0), 1, 3)
    for split, colour in SPLIT_COLOURS.items():
        means = [mean(results, window, lambda r, s=split: r["perplexity"][s]) for window in WINDOWS]
        left.plot(WINDOWS, means, color=colour, label=split)
        points = [(result["window"], result["perplexity"][split]) for result in results]
        left.scatter(*zip(*points, strict=True), color=colour, s=10)
    left.legend(frameon=False, title="text (a dot a seed)", alignment="left")
    parameters = [mean(results, window, lambda r: r["parameters"]) / 1000 for window in WINDOWS]
    middle.plot(WINDOWS, parameters, color=SPLIT_COLOURS["train"], marker="o", markersize=4)
    for window in WINDOWS:
        norms = mean(results, window, lambda r: r["position_norms"])
        right.plot(range(1, window + 1), norms, color=WINDOW_COLOURS[window], marker="o", markersize=3, label=window)
    right.legend(frameon=False, title="window", reverse=True)
    for axes, title, xlabel, ylabel in (
        (left, "What a larger window buys", "window (characters)", "perplexity per character"),
        (middle, "What it costs", "window (characters)", "parameters (thousands)"),
        (right, "No symmetry between positions", "position (characters back)", "norm of the position's weights"),
    ):
        finish(axes, title=title, xlabel=xlabel, ylabel=ylabel, xticks=WINDOWS, ylim=(0, None))
    return figure


def to_rows(results: list[dict]) -> list[dict]:
    """A line a window and seed."""
    return [
        {
            **only(result, ("window", "seed", "parameters")),
            **{f"{split} perplexity": value for split, value in result["perplexity"].items()},
            "norms, newest first": " ".join(f"{norm:.1f}" for norm in result["position_norms"]),
        }
        for result in results
    ]


def findings(results: dict) -> Findings:
    """The answer, table and picture."""
    found = results["results"]
    windows = list(groups(found, "window"))
    test = [f"{mean(found, window, lambda r: r['perplexity']['test']):.2f} with {window}" for window in windows]
    norms = mean(found, windows[-1], lambda r: r["position_norms"])
    caption = "Perplexity, parameters and the norm of each position's block of weights; means over seeds."
    return Findings(
        answer=f"Test perplexity per character by the number of tokens in the window: {', '.join(test)}; the norm of a "
        f"position's weights falls from {norms[0]:.1f} at the newest token to {norms[-1]:.1f} at the oldest of "
        f"{windows[-1]}.",
        results=results,
        rows=to_rows(found),
        pictures=[Picture("window_size", draw(found), caption)],
        seeds=list(groups(found, "seed")),
    )


def run(arguments) -> Findings:
    """Trains every window with every seed."""
    seeds = SEEDS[: 1 if arguments.smoke else None]
    results = [measure(window, seed, arguments) for window in WINDOWS for seed in seeds]
    return findings({"corpus_sha256": load_corpus(arguments.data).sha256, "results": results})


if __name__ == "__main__":
    STUDY.main(run)
