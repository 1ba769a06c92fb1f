"""What do gates buy? The same language model around a tanh RNN, a GRU and an LSTM, on the default corpus.

    python experiments/language_models/compare_cells.py     about 8 minutes on 2 CPU cores

Expected: in bits per character on the test text, LSTM and GRU close to each other and clearly below the RNN, all far
below the bigram baseline.
"""

from matplotlib.figure import Figure

from experiments.harness import Findings, Study
from experiments.harness.runs import lines_of, trained
from lm_jax.config import RecurrentConfig, TrainConfig
from lm_jax.data import load_corpus
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS, clean, label_ends


STUDY = Study(__doc__, __file__, "What gates buy")
CELLS = ("rnn", "gru", "lstm")


def settings(cell: str, smoke: bool) -> TrainConfig:
    """The default run, but for the cell."""
    if smoke:
        return TrainConfig(model=RecurrentConfig(cell=cell, hidden_size=16), steps=6, log_every=3, eval_every=3)
    return TrainConfig(model=RecurrentConfig(cell=cell))


def measure(cell: str, arguments) -> dict:
    """The closing results and the validation curve of one run."""
    run = trained(settings(cell, arguments.smoke), arguments.runs / cell)
    return {
        "cell": cell,
        "parameters": run.results["parameters"],
        "seconds": run.results["seconds"],
        "rows": run.results["rows"],
        "valid": [[r["step"], r["valid_loss"]] for r in lines_of(run.folder) if "valid_loss" in r],
    }


def draw(results: list[dict]):
    """Validation loss against the step, a labelled line a cell."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes, ends = figure.add_subplot(), []
    for result in results:
        steps, losses = zip(*result["valid"], strict=True)
        colour = COLOURS[result["cell"]]
        axes.plot(steps, losses, color=colour, marker="o", markersize=3)
        ends.append((steps[-1], losses[-1], result["cell"].upper(), colour))
    axes.set_xlabel("training step")
    axes.set_ylabel("validation cross-entropy (nats per character)")
    axes.set_title("One layer of 256 units on Python's documentation", loc="left")
    clean(axes)
    label_ends(axes, ends)
    return figure


def to_rows(results: list[dict]) -> list[dict]:
    """The test score of the baselines, then of each cell."""
    columns = ("model", "cross_entropy", "perplexity", "bits_per_character")
    rows = [{name: row[name] for name in columns} for row in results[0]["rows"][-4:-1]]
    for result in results:
        row = {name: result["rows"][-1][name] for name in columns}
        rows.append({**row, "parameters": result["parameters"], "seconds": result["seconds"]})
    return rows


def findings(results: dict) -> Findings:
    """The answer, table and picture."""
    rows = to_rows(results["results"])
    scores = ", ".join(f"{row['model']} {row['bits_per_character']:.3f}" for row in rows)
    caption = "Validation loss of one layer of 256 units around each cell; one seed."
    return Findings(
        answer=f"Bits per character on the test text: {scores}.",
        results=results,
        rows=rows,
        pictures=[Picture("compare_cells", draw(results["results"]), caption)],
    )


def run(arguments) -> Findings:
    """Trains the three."""
    results = [measure(cell, arguments) for cell in CELLS]
    return findings({"corpus_sha256": load_corpus().sha256, "results": results})


if __name__ == "__main__":
    STUDY.main(run)
