"""What does a larger window buy? The fixed-window model with 1, 2, 4, 8 and 16 tokens, on the default corpus.

    python experiments/window_size.py             about 5 minutes on 2 CPU cores
    python experiments/window_size.py --smoke     seconds; numbers mean nothing

The model is that of Bengio et al. 2003: 32-dimensional embeddings, one tanh layer of 128 units, four epochs, three
seeds. Expected: perplexity falls steeply up to four tokens, a little more to eight, and from eight to sixteen only on
the training text: on the validation and test texts the difference is within that of the seeds. The parameters grow by
32 * 128 for every token more. No position shares its weights with another, and they come out different: the norm of a
position's block of weights is largest for the newest token and falls with the distance (at the start all blocks of a
model have about the same norm, sqrt(128 / window)).

--data takes another text, by character. Writes window_size.json and window_size.png into --out (default
experiments/results). A run that was interrupted goes on where it was when the command is given again.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import lm_jax


WINDOWS = (1, 2, 4, 8, 16)
SEEDS = (0, 1, 2)
# Okabe & Ito
COLOURS = dict(zip(WINDOWS, ("#CC79A7", "#E69F00", "#D55E00", "#009E73", "#0072B2"), strict=True))
SPLIT_COLOURS = {"train": "#0072B2", "valid": "#D55E00", "test": "#009E73"}


def config(window: int, seed: int, data: str | None, smoke: bool) -> lm_jax.TrainConfig:
    """One layer over `window` tokens."""
    model = lm_jax.ModelConfig(
        model="window", window=window, embedding_size=4 if smoke else 32, hidden_size=8 if smoke else 128
    )
    length = {"steps": 6} if smoke else {"epochs": 4}
    return lm_jax.TrainConfig(data=lm_jax.DataConfig(data), model=model, seed=seed, **length)


def train(window: int, seed: int, data: str | None, smoke: bool, folder: Path) -> dict:
    """One run, started, continued or only read; what it has come to."""
    print(f"window {window}, seed {seed}: {folder}", flush=True)
    done = folder / "results.json"
    results = json.loads(done.read_text()) if done.exists() else None
    if results is None or results["stopped"]:
        started = (folder / "config.json").exists()
        run = lm_jax.resume(folder) if started else lm_jax.train(config(window, seed, data, smoke), folder)
        results = run.results
    if results["stopped"]:
        raise SystemExit("stopped; the same command goes on")
    scores = {row["split"]: row for row in results["rows"]}  # the model's own row is the last of its split
    return {
        "window": window,
        "seed": seed,
        "parameters": results["parameters"],
        "perplexity": {split: row["perplexity"] for split, row in scores.items()},
        "bits_per_character": {split: row["bits_per_character"] for split, row in scores.items()},
        "position_norms": results["position_norms"],
    }


def mean(results: list[dict], window: int, value) -> np.ndarray:
    """The mean over seeds of what `value` takes from a result."""
    return np.mean([value(result) for result in results if result["window"] == window], axis=0)


def draw(results: list[dict], path: Path) -> None:
    """Perplexity and parameters against the window, and the norms of the positions, a labelled line a window."""
    figure = Figure(figsize=(13, 4.0), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for split, colour in SPLIT_COLOURS.items():
        means = [mean(results, window, lambda r, s=split: r["perplexity"][s]) for window in WINDOWS]
        left.plot(WINDOWS, means, color=colour, label=split)
        points = [(result["window"], result["perplexity"][split]) for result in results]
        left.scatter(*zip(*points, strict=True), color=colour, s=10)
    left.legend(frameon=False, title="text (a dot a seed)", alignment="left")
    left.set_ylabel("perplexity per character")
    left.set_title("What a larger window buys", loc="left")
    parameters = [mean(results, window, lambda r: r["parameters"]) / 1000 for window in WINDOWS]
    middle.plot(WINDOWS, parameters, color=SPLIT_COLOURS["train"], marker="o", markersize=4)
    middle.set_ylabel("parameters (thousands)")
    middle.set_title("What it costs", loc="left")
    for window in WINDOWS:
        norms = mean(results, window, lambda r: r["position_norms"])
        right.plot(range(1, window + 1), norms, color=COLOURS[window], marker="o", markersize=3, label=window)
    right.legend(frameon=False, title="window", reverse=True)
    right.set_ylabel("norm of the position's weights")
    right.set_title("No symmetry between positions", loc="left")
    for axes in (left, middle, right):
        axes.set_xlabel("position (characters back)" if axes is right else "window (characters)")
        axes.set_xticks(WINDOWS)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Trains every window with every seed, writes the JSON and the figure, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a text, by character (default: the documentation that CPython carries)")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/window_size"))
    arguments = parser.parse_args()
    data, smoke = arguments.data, arguments.smoke
    runs = arguments.runs / (Path(data).stem if data else "default") / ("smoke" if smoke else "full")
    results = [
        train(window, seed, data, smoke, runs / f"{window}-{seed}")
        for window in WINDOWS
        for seed in SEEDS[: 1 if smoke else None]
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = (f" --data {data}" if data else "") + (" --smoke" if smoke else "")
    record = {
        "command": f"python experiments/window_size.py{options}",
        "python": platform.python_version(),
        "corpus_sha256": lm_jax.load_corpus(data).sha256,
        "results": results,
    }
    (arguments.out / "window_size.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(results, arguments.out / "window_size.png")
    print("window parameters  test perplexity (all seeds)      norm of each position's weights, the newest first")
    for window in WINDOWS:
        rows = [result for result in results if result["window"] == window]
        perplexities = "  ".join(f"{row['perplexity']['test']:.3f}" for row in rows)
        norms = " ".join(f"{norm:.1f}" for norm in mean(results, window, lambda r: r["position_norms"]))
        print(f"{window:>6} {rows[0]['parameters']:>10,}  {perplexities:<32} {norms}")


if __name__ == "__main__":
    main()
