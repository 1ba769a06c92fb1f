"""What do gates buy? The same language model around a tanh RNN, a GRU and an LSTM, on the default corpus.

    python experiments/compare_cells.py             about 8 minutes on 2 CPU cores
    python experiments/compare_cells.py --smoke     seconds; numbers mean nothing

Expected: in bits per character on the test text, LSTM and GRU close to each other and clearly below the RNN, all far
below the bigram baseline. Writes compare_cells.json and compare_cells.png into --out (default experiments/results).
A run that was interrupted goes on where it was when the command is given again.
"""

import argparse
import json
import platform
from pathlib import Path

from matplotlib.figure import Figure

import lm_jax


COLOURS = {"rnn": "#0072B2", "gru": "#009E73", "lstm": "#D55E00"}  # Okabe & Ito


def config(cell: str, smoke: bool) -> lm_jax.TrainConfig:
    """The default run, but for the cell."""
    if smoke:
        return lm_jax.TrainConfig(
            model=lm_jax.ModelConfig(cell=cell, hidden_size=16), steps=6, log_every=3, eval_every=3
        )
    return lm_jax.TrainConfig(model=lm_jax.ModelConfig(cell=cell))


def train(cell: str, folder: Path, smoke: bool) -> dict:
    """One run, started or continued; its closing results and validation curve."""
    print(f"{cell}: {folder}", flush=True)
    started = (folder / "config.json").exists()
    run = lm_jax.resume(folder) if started else lm_jax.train(config(cell, smoke), folder)
    if run.results["stopped"]:
        raise SystemExit("stopped; the same command goes on")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "cell": cell,
        "parameters": run.results["parameters"],
        "seconds": run.results["seconds"],
        "rows": run.results["rows"],
        "valid": [[r["step"], r["valid_loss"]] for r in lines if "valid_loss" in r],
    }


def draw(results: list[dict], path: Path) -> None:
    """Validation loss against the step, a labelled line a cell."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    lowest = -float("inf")
    for result in sorted(results, key=lambda result: result["valid"][-1][1]):
        steps, losses = zip(*result["valid"], strict=True)
        lowest = max(losses[-1], lowest + 0.025)  # labels of lines that end close together stand apart
        axes.plot(steps, losses, color=COLOURS[result["cell"]], marker="o", markersize=3)
        axes.text(steps[-1], lowest, f"  {result['cell'].upper()}", color=COLOURS[result["cell"]], va="center")
    axes.set_xlabel("training step")
    axes.set_ylabel("validation cross-entropy (nats per character)")
    axes.set_title("One layer of 256 units on Python's documentation", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.1)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Trains the three, writes the JSON and the figure, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/compare_cells"))
    arguments = parser.parse_args()
    runs = arguments.runs / ("smoke" if arguments.smoke else "full")
    results = [train(cell, runs / cell, arguments.smoke) for cell in COLOURS]
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = {
        "command": "python experiments/compare_cells.py" + (" --smoke" if arguments.smoke else ""),
        "python": platform.python_version(),
        "corpus_sha256": lm_jax.load_corpus().sha256,
        "results": results,
    }
    (arguments.out / "compare_cells.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(results, arguments.out / "compare_cells.png")
    for row in results[0]["rows"][-4:-1]:
        print(f"{row['model']:<22} test {row['bits_per_character']:.3f} bits per character")
    for result in results:
        row = result["rows"][-1]
        print(
            f"{row['model']:<22} test {row['bits_per_character']:.3f} bits per character, "
            f"{result['parameters']:,} parameters, {result['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()
