"""How sparse are n-grams, and what does it cost? Unseen n-grams, size and perplexity, by order and by length of text.

    python experiments/sparsity.py                      seconds; words of the Python documentation
    python experiments/sparsity.py --data FOLDER        a minute on 2 million words
    python experiments/sparsity.py --smoke              numbers mean nothing

Expected: the share of test n-grams that the training text lacks grows quickly with the order and falls only slowly
with more text; a model's size grows with both, almost as fast as the text; perplexity gains little beyond order 3
until the text is longer, because longer contexts are seldom known.

Models: modified Kneser-Ney; the vocabulary is that of the whole training text, `<unk>` included. Writes sparsity.json
and three pictures (sparsity_unseen.png, sparsity_size.png, sparsity_perplexity.png) in --out (default:
experiments/results).
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import lm_jax
from lm_jax.models.ngram import count_ngrams, estimate
from lm_jax.models.ngram.counts import rows_in_text, trie_keys
from lm_jax.models.ngram.score_text import text_log_probs


ORDERS = (1, 2, 3, 4, 5)
PARTS = (32, 16, 8, 4, 2, 1)  # the training text is cut to one part in so many
COLOURS = dict(zip(ORDERS, ("#000000", "#0072B2", "#009E73", "#D55E00", "#CC79A7"), strict=True))


def unseen(tables, test, eol_id):
    """For each order the share of test n-grams, and of their contexts, that the tables lack."""
    vocab_size = len(tables[0].words)
    keys = [trie_keys(table.prefix, table.words, vocab_size) for table in tables[1:]]
    rows, contexts = rows_in_text(keys, test, vocab_size, eol_id)
    known = tables[0].counts > 0
    ngrams, before = [1 - float(known[test].mean())], [0.0]
    for k in range(2, len(tables) + 1):
        long_enough = contexts[k - 2] != -2  # the line has so many words, <s> included
        ngrams.append(float((rows[k - 1][long_enough] < 0).mean()))
        missing = contexts[k - 2] < 0 if k > 2 else ~(known[contexts[0]] | (contexts[0] == eol_id))
        before.append(float(missing[long_enough].mean()))
    return ngrams, before


def measure(corpus, length, order):
    """One model of the first `length` tokens."""
    size, eol_id = len(corpus.vocabulary), corpus.vocabulary.eol_id
    tokens = corpus.train[:length]
    ngrams, contexts = unseen(count_ngrams(tokens, order, size, eol_id), corpus.test, eol_id)
    estimated = estimate(tokens, order, size, eol_id)
    params = estimated.params
    log_probs = text_log_probs(params, corpus.test, eol_id)
    return {
        "order": order,
        "tokens": length,
        "unseen_ngrams": ngrams[-1],
        "unseen_contexts": contexts[-1],
        "ngrams": sum(params.sizes),
        "bytes": sum(np.asarray(a).nbytes for arrays in params[:4] for a in arrays),
        "perplexity": float(np.exp(-np.mean(log_probs, dtype=np.float64))),
        "notes": estimated.notes,
    }


PICTURES = {
    "unseen": [
        ("unseen_ngrams", "share of test n-grams unseen"),
        ("unseen_contexts", "share of their contexts unseen"),
    ],
    "size": [("ngrams", "n-grams in the model"), ("bytes", "bytes of its tables")],
    "perplexity": [("perplexity", "test perplexity")],
}


def draw(rows, name, path):
    """One quantity a row, against the order on the left and against the length of the text on the right."""
    quantities = PICTURES[name]
    figure = Figure(figsize=(9.0, 3.4 * len(quantities)), layout="constrained")
    axes = figure.subplots(len(quantities), 2, sharey="row", squeeze=False)
    lengths = sorted({row["tokens"] for row in rows})
    for (quantity, label), (left, right) in zip(quantities, axes, strict=True):
        left.set(xlabel="order n (one line a training text)", ylabel=label, xticks=ORDERS)
        right.set(xlabel="training tokens (one line an order)", xscale="log")
        if name != "unseen":
            left.set_yscale("log")
        curves = []
        for i, length in enumerate(lengths):
            points = [(row["order"], row[quantity]) for row in rows if row["tokens"] == length]
            curves.append((points, f"{length:,}", str(0.75 - 0.75 * i / (len(lengths) - 1))))
        plot(left, curves)
        curves = []
        for order in ORDERS:
            points = sorted((row["tokens"], row[quantity]) for row in rows if row["order"] == order)
            curves.append((points, f"n = {order}", COLOURS[order]))
        plot(right, curves)
    figure.savefig(path, dpi=120)


def plot(axes, curves):
    """Lines with their names at the right end, moved apart where they would cover each other."""
    for points, _, colour in curves:
        axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.margins(x=0.2)
    axes.autoscale_view()
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = [(*to_axes.transform(points[-1]), name, colour) for points, name, colour in curves]
    lowest = -1.0
    for x, y, name, colour in sorted(ends, key=lambda end: end[1]):
        lowest = max(y, lowest + 0.05)
        axes.text(x + 0.015, lowest, name, color=colour, fontsize=8, va="center", transform=axes.transAxes)


def main() -> None:
    """Measures every order at every length, prints a table, draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="text file or folder (default: the Python documentation)")
    parser.add_argument("--smoke", action="store_true", help="only the first 2,000 tokens")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    corpus = lm_jax.load_corpus(arguments.data, level="word")
    total = 2000 if arguments.smoke else len(corpus.train)
    print(f"{'tokens':>10} {'n':>2} {'n-grams':>10} {'unseen':>7} {'contexts':>8} {'perplexity':>10}")
    rows = []
    for part in PARTS:
        for order in ORDERS:
            row = measure(corpus, total // part, order)
            rows.append(row)
            print(
                f"{row['tokens']:>10,} {order:>2} {row['ngrams']:>10,} {row['unseen_ngrams']:>7.1%} "
                f"{row['unseen_contexts']:>8.1%} {row['perplexity']:>10.1f}",
                flush=True,
            )
    record = {
        "command": "python experiments/sparsity.py" + (" --data DATA" if arguments.data else ""),
        "python": platform.python_version(),
        "corpus": {"sha256": corpus.sha256, "train": len(corpus.train), "test": len(corpus.test)},
        "vocabulary": len(corpus.vocabulary),
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "sparsity.json").write_text(json.dumps(record, indent=1) + "\n")
    for name in PICTURES:
        draw(rows, name, arguments.out / f"sparsity_{name}.png")


if __name__ == "__main__":
    main()
