"""How sparse are n-grams, and what does it cost? Unseen n-grams, size and perplexity, by order and by length of text.

    python experiments/language_models/sparsity.py                 seconds; words of the Python documentation
    python experiments/language_models/sparsity.py --data FOLDER   a minute on 2 million words

Models: modified Kneser-Ney; the vocabulary is that of the whole training text, `<unk>` included.

Expected: the share of test n-grams that the training text lacks grows quickly with the order and falls only slowly
with more text; a model's size grows with both, almost as fast as the text; perplexity gains little beyond order 3
until the text is longer, because longer contexts are seldom known.
"""

import numpy as np

from experiments.harness import Findings, Study
from experiments.harness.figures import draw_lines, finish, panels
from experiments.harness.rows import groups, without
from lm_jax.data import load_corpus
from lm_jax.models.ngram import count_ngrams, estimate, text_log_probs
from lm_jax.models.ngram.counts import rows_in_text, trie_keys
from lm_jax.report.study import Picture
from lm_jax.report.style import SERIES


OPTIONS = {"--data": {"help": "text file or folder (default: the Python documentation)"}}
STUDY = Study(__doc__, __file__, "Sparsity", OPTIONS)
ORDERS = (1, 2, 3, 4, 5)
PARTS = (32, 16, 8, 4, 2, 1)  # the training text is cut to one part in so many
ORDER_COLOURS = dict(zip(ORDERS, (SERIES[k] for k in (6, 0, 2, 1, 3)), strict=True))


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
    "unseen": {
        "unseen_ngrams": "share of test n-grams unseen",
        "unseen_contexts": "share of their contexts unseen",
    },
    "size": {"ngrams": "n-grams in the model", "bytes": "bytes of its tables"},
    "perplexity": {"perplexity": "test perplexity"},
}
CAPTIONS = {
    "unseen": "Share of the test text's n-grams, and of their contexts, that the training text lacks.",
    "size": "N-grams in the model and bytes of its tables.",
    "perplexity": "Perplexity of modified Kneser-Ney models.",
}


def draw(rows, name):
    """One quantity a row, against the order on the left and against the length of the text on the right."""
    quantities = PICTURES[name]
    figure, grid = panels((9.0, 3.4 * len(quantities)), len(quantities), 2, sharey="row")
    by_length, by_order = (groups(sorted(rows, key=lambda row: row["tokens"]), field) for field in ("tokens", "order"))
    greys = dict(zip(by_length, (str(grey) for grey in 0.75 - np.linspace(0, 0.75, len(by_length))), strict=True))
    for (quantity, label), left, right in zip(quantities.items(), grid[::2], grid[1::2], strict=True):
        scale = "linear" if name == "unseen" else "log"
        lines = {f"{n:,}": (*columns(own, "order", quantity), greys[n]) for n, own in by_length.items()}
        left.set(xticks=ORDERS, yscale=scale)
        finish(left, draw_lines(left, lines), xlabel="order n (one line a training text)", ylabel=label)
        lines = {f"n = {n}": (*columns(own, "tokens", quantity), ORDER_COLOURS[n]) for n, own in by_order.items()}
        right.set_xscale("log")
        finish(right, draw_lines(right, lines), xlabel="training tokens (one line an order)")
    return figure


def columns(rows, *names):
    """The values of the fields named, each over all rows."""
    return [[row[name] for row in rows] for name in names]


def findings(results: dict) -> Findings:
    """The answer, table and pictures."""
    rows = results["rows"]
    whole = [row for row in rows if row["tokens"] == max(row["tokens"] for row in rows)]
    orders = f"orders 1 to {len(whole)}"
    shares = ", ".join(f"{row['unseen_ngrams']:.1%}" for row in whole)
    perplexities = ", ".join(f"{row['perplexity']:,.4g}" for row in whole)
    return Findings(
        answer=f"After {whole[0]['tokens']:,} training tokens {shares} of the test n-grams of {orders} are unseen; the "
        f"perplexities of {orders} are {perplexities}; that of order {len(whole)} has {whole[-1]['ngrams']:,} n-grams.",
        results=results,
        rows=[without(row, "notes") for row in rows],
        pictures=[Picture(f"sparsity_{name}", draw(rows, name), caption) for name, caption in CAPTIONS.items()],
    )


def run(arguments) -> Findings:
    """Measures every order at every length."""
    corpus = load_corpus(arguments.data, level="word")
    total = 2000 if arguments.smoke else len(corpus.train)
    rows = []
    for part in PARTS:
        print(f"{total // part:,} tokens", flush=True)
        rows += [measure(corpus, total // part, order) for order in ORDERS]
    return findings(
        {
            "corpus": {"sha256": corpus.sha256, "train": len(corpus.train), "test": len(corpus.test)},
            "vocabulary": len(corpus.vocabulary),
            "rows": rows,
        }
    )


if __name__ == "__main__":
    STUDY.main(run)
