"""What do gates buy? The same language model around a tanh RNN, a GRU and an LSTM, on the default corpus.

    python experiments/language_models/compare_cells.py     about 8 minutes on 2 CPU cores

Expected: in bits per character on the test text, LSTM and GRU close to each other and clearly below the RNN, all far
below the bigram baseline.
"""

from experiments.harness import Findings, Study
from experiments.harness.figures import draw_lines, finish, panels
from experiments.harness.rows import only
from experiments.harness.runs import lines_of, trained
from lm_jax.config import RecurrentConfig, TrainConfig
from lm_jax.data import load_corpus
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS


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
    valid = [[r["step"], r["valid_loss"]] for r in lines_of(run.folder) if "valid_loss" in r]
    return {"cell": cell, **only(run.results, ("parameters", "seconds", "rows")), "valid": valid}


def draw(results: list[dict]):
    """Validation loss against the step, a labelled line a cell."""
    figure, (axes,) = panels((6.4, 4.0))
    ends = draw_lines(axes, {r["cell"].upper(): (*zip(*r["valid"], strict=True), COLOURS[r["cell"]]) for r in results})
    words = {"xlabel": "training step", "ylabel": "validation cross-entropy (nats per character)"}
    finish(axes, ends, "One layer of 256 units on Python's documentation", **words)
    return figure


def to_rows(results: list[dict]) -> list[dict]:
    """The test score of the baselines, then of each cell."""
    columns = ("model", "cross_entropy", "perplexity", "bits_per_character")
    rows = [only(row, columns) for row in results[0]["rows"][-4:-1]]
    return rows + [only(r["rows"][-1], columns) | only(r, ("parameters", "seconds")) for r in results]


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
