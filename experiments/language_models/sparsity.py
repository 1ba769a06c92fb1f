"""How sparse are n-grams, and what does it cost? Unseen n-grams, size and perplexity, by order and by length of text.

    python experiments/language_models/sparsity.py --data FOLDER   a minute on 2 million words
    python experiments/language_models/sparsity.py                 seconds; words of the Python documentation

Models: modified Kneser-Ney; the vocabulary is that of the whole training text, `<unk>` included.

Expected: the share of test n-grams that the training text lacks grows quickly with the order and falls only slowly
with more text; a model's size grows with both, almost as fast as the text; perplexity gains little beyond order 3
until the text is longer, because longer contexts are seldom known.
"""

import functools

import numpy as np

from experiments.harness import Study
from experiments.language_models.sparsity_findings import ORDERS, findings
from lm_jax.data import load_corpus
from lm_jax.models.ngram import count_ngrams, estimate, text_log_probs
from lm_jax.models.ngram.counts import key_parts, rows_in_text


OPTIONS = {"--data": {"help": "text file or folder (default: the Python documentation)"}}
STUDY = Study(__doc__, __file__, OPTIONS)
PARTS = (32, 16, 8, 4, 2, 1)  # the training text is cut to one part in so many


def unseen(tables, test, eol_id):
    """For each order the share of test n-grams, and of their contexts, that the tables lack."""
    vocab_size = len(tables[0].words)
    keys = [functools.partial(key_parts, table.prefix, table.words, vocab_size) for table in tables[1:]]
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


def run(arguments) -> dict:
    """Measures every order at every length."""
    corpus = load_corpus(arguments.data, level="word")
    total = 2000 if arguments.smoke else len(corpus.train)
    rows = []
    for part in PARTS:
        print(f"{total // part:,} tokens", flush=True)
        rows += [measure(corpus, total // part, order) for order in ORDERS]
    return {
        "corpus": {"sha256": corpus.sha256, "train": len(corpus.train), "test": len(corpus.test)},
        "vocabulary": len(corpus.vocabulary),
        "rows": rows,
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
