"""What do gates buy? The same language model around a tanh RNN, a GRU and an LSTM, on the default corpus.

    python experiments/language_models/compare_cells.py     about 8 minutes on 2 CPU cores

Expected: in bits per character on the test text, LSTM and GRU close to each other and clearly below the RNN, all far
below the bigram baseline.
"""

from experiments.harness import Findings, Study, Verdict
from experiments.harness.figures import draw_lines, finish, headline, panels
from experiments.harness.rows import filled, only
from experiments.harness.runs import lines_of, trained
from lm_jax.config import OptimizerConfig, RecurrentConfig, TrainConfig
from lm_jax.data import load_corpus
from lm_jax.report.study import Picture
from lm_jax.report.style import COLOURS


STUDY = Study(__doc__, __file__)
CELLS = ("rnn", "gru", "lstm")


def settings(cell: str, smoke: bool) -> TrainConfig:
    """Eight passes over the default text at one learning rate; by default, LSTM and GRU have fewer at a higher one."""
    if smoke:
        return TrainConfig(model=RecurrentConfig(cell=cell, hidden_size=16), steps=6, log_every=3, eval_every=3)
    optimizer = OptimizerConfig(learning_rate=5e-3)
    return TrainConfig(optimizer, model=RecurrentConfig(cell=cell), epochs=8, bptt=64)


def measure(cell: str, arguments) -> dict:
    """The closing results and the validation curve of one run."""
    run = trained(settings(cell, arguments.smoke), arguments.runs / cell)
    valid = [[r["step"], r["valid_loss"]] for r in lines_of(run.folder) if "valid_loss" in r]
    return {"cell": cell, **only(run.results, ("parameters", "seconds", "rows")), "valid": valid}


def draw(results: list[dict], title: str):
    """Validation loss against the step, a labelled line a cell."""
    figure, (axes,) = panels((7.0, 4.2))
    ends = draw_lines(axes, {r["cell"].upper(): (*zip(*r["valid"], strict=True), COLOURS[r["cell"]]) for r in results})
    words = {"xlabel": "training step", "ylabel": "validation cross-entropy (nats per character)"}
    headline(figure, title)
    finish(axes, (), **words)
    figure.draw_without_rendering()  # the layout moves the axes, and labels are placed in pixels
    finish(axes, ends)
    return figure


def to_rows(results: list[dict]) -> list[dict]:
    """The test score of the baselines, then of each cell."""
    columns = ("model", "cross_entropy", "perplexity", "bits_per_character")
    rows = [only(row, columns) for row in results[0]["rows"][-4:-1]]
    return rows + [only(r["rows"][-1], columns) | only(r, ("parameters", "seconds")) for r in results]


COLUMNS = {
    "model": "layers x units of a network, or an n-gram model",
    "cross_entropy": "on the test text (nats per character)",
    "perplexity": "exp of the cross-entropy, per character",
    "bits_per_character": "the cross-entropy in bits",
    "parameters": "numbers that are trained",
    "seconds": "of training, on a machine that did other work too (s)",
}
CLOSE = 0.05  # bits per character


def findings(results: dict) -> Findings:
    """What the scores say."""
    rows = to_rows(results["results"])
    rnn, gru, lstm = (row["bits_per_character"] for row in rows[3:])
    bigram = rows[1]["bits_per_character"]
    gain = rnn - min(gru, lstm)
    title = f"Gates buy {gain:.2f} bits per character; GRU and LSTM are {abs(gru - lstm):.2f} apart"
    caption = "Validation loss of one layer of 256 units around each cell, on Python's documentation; one seed."
    return Findings(
        title=title,
        answer=f"Bits per character on the test text: {rnn:.2f} with the RNN, {gru:.2f} with the GRU, {lstm:.2f} with "
        "the LSTM.",
        verdicts=[
            Verdict(
                f"GRU and LSTM close (within {CLOSE} bits)", f"{abs(gru - lstm):.3f} bits", abs(gru - lstm) < CLOSE
            ),
            Verdict(
                f"both clearly below the RNN (by {CLOSE} bits)",
                f"{rnn - max(gru, lstm):.3f} bits",
                rnn - max(gru, lstm) > CLOSE,
            ),
            Verdict(
                "all below the bigram",
                f"{max(rnn, gru, lstm):.2f} against {bigram:.2f} bits",
                max(rnn, gru, lstm) < bigram,
            ),
        ],
        means=filled(rows),
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("compare_cells", draw(results["results"], title), caption)],
    )


def run(arguments) -> dict:
    """Trains the three."""
    results = [measure(cell, arguments) for cell in CELLS]
    return {"corpus_sha256": load_corpus().sha256, "results": results}


if __name__ == "__main__":
    STUDY.main(run, findings)
