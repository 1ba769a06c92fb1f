"""The closing table of a language model: its scores on every split beside n-gram models of the same training text."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lm_jax.data.batching import cut_streams
from lm_jax.data.corpora import Corpus, bits_per, unknown_rate
from lm_jax.data.texts import SPLITS
from lm_jax.inference.likelihood import likelihood, perplexity
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.ngram import BackoffParams, estimate
from lm_jax.models.ngram.score_text import text_log_probs
from lm_jax.report.numbers import short
from lm_jax.report.table import Table
from lm_jax.types import Params


MOST_TOKENS = {"train": 50_000, "valid": 500_000, "test": 500_000}  # of longer texts the first so many are scored
MOST_COUNTED = 20_000_000  # tokens: counting the 5-grams of more would take minutes
COUNTED_IN_MEMORY = 4_000_000  # tokens: estimating 5-grams takes about 250 bytes a token
COUNTING_MEMORY = 256 * 2**20  # bytes for n-grams of more tokens beside a training
FIVE_GRAM = "5-gram MKN"
BASELINES = {"unigram": (1, "add-k"), "bigram": (2, "witten-bell"), FIVE_GRAM: (5, "modified-kneser-ney")}
# of a narrow terminal, the first to go first
DROP = ("bits/byte", "unknown", "tokens", "bits/char", "nats/token")
TITLES = ("split", "model", "tokens", "nats/token", "perplexity", "bits/char", "bits/byte", "unknown")

ScoreFn = Callable[[np.ndarray, str], float]  # (tokens, split) -> nats per token


class ClosingRow(NamedTuple):
    """Scores of one model on one split. cross_entropy in nats per token; unk_rate: the share of unknown tokens."""

    split: str
    model: str
    tokens: int
    cross_entropy: float
    perplexity: float
    bits_per_character: float
    bits_per_byte: float
    unk_rate: float


class TextReading(NamedTuple):
    """How a text is read: eol_id, the end-of-line token; streams it is cut into; mode, "stream" or "sentence"."""

    eol_id: int
    streams: int
    mode: str


def baselines(corpus: Corpus, max_memory: int | None = None) -> dict[str, BackoffParams]:
    """Estimates n-gram models of the training text, by name: a model has to beat them. Of a text that is too long to be
    counted beside a training, only the unigram model.

    Args:
        corpus: The text.
        max_memory: Bytes for counting; default: enough for a short text, COUNTING_MEMORY for a long one.
    """
    size, eol_id = len(corpus.vocabulary), corpus.vocabulary.eol_id
    if max_memory is None and len(corpus.train) > COUNTED_IN_MEMORY:
        max_memory = COUNTING_MEMORY
    return {
        name: estimate(corpus.train, order, size, eol_id, method=method, max_memory=max_memory).params
        for name, (order, method) in BASELINES.items()
        if order == 1 or len(corpus.train) <= MOST_COUNTED
    }


def closing_rows(corpus: Corpus, models: dict[str, ScoreFn]) -> tuple[ClosingRow, ...]:
    """Scores every model on every split, on the same tokens."""
    rows = []
    for split in SPLITS:
        everything = getattr(corpus, split)
        tokens = everything[: MOST_TOKENS[split]]
        share = len(tokens) / len(everything)  # characters and bytes of the part that is scored, by proportion
        characters, size = corpus.characters[split] * share, corpus.bytes[split] * share
        unknown = unknown_rate(corpus.vocabulary, tokens)
        for name, score in models.items():
            loss = score(tokens, split)
            bits = bits_per(characters, loss, len(tokens)), bits_per(size, loss, len(tokens))
            rows.append(ClosingRow(split, name, len(tokens), loss, perplexity(loss), *bits, unknown))
    return tuple(rows)


def model_scorer(
    model: LanguageModel, params: Params, reading: TextReading, progress: Callable[[str, int, int], None]
) -> ScoreFn:
    """Makes the score function of any language model.

    Args:
        model: The model.
        params: Its parameters.
        reading: How a text is read: in how many streams, in which mode.
        progress: Called with (stage, parts done, parts in all).
    """

    def score(tokens, split):
        def hear(done, total):
            progress(f"scoring {split}", done, total)

        options = {"eval_streams": reading.streams, "mode": reading.mode, "progress": hear}
        return likelihood(model, params, tokens, reading.eol_id, **options).cross_entropy

    return score


def table_scorer(params: BackoffParams, reading: TextReading) -> ScoreFn:
    """Makes the score function of n-gram tables; the contexts are those of the streams that other models read."""

    def score(tokens, split):
        streams = cut_streams(tokens, max(1, min(reading.streams, len(tokens))), reading.eol_id)
        starts = np.cumsum(streams.lengths)[:-1] if reading.mode == "stream" else ()
        return -float(np.mean(text_log_probs(params, tokens, reading.eol_id, starts), dtype=np.float64))

    return score


def closing_table(rows: tuple[ClosingRow, ...]) -> Table:
    """Writes the rows as a table of texts, a section for each split."""
    sections = [k for k, row in enumerate(rows) if k + 1 == len(rows) or rows[k + 1].split != row.split]
    return Table(TITLES, tuple(map(_texts, rows)), words=2, sections=tuple(sections), drop=DROP)


def _texts(row):
    return (
        row.split,
        row.model,
        f"{row.tokens:,}",
        f"{row.cross_entropy:.4f}",
        short(row.perplexity),
        f"{row.bits_per_character:.3f}",
        f"{row.bits_per_byte:.3f}",
        f"{row.unk_rate:.2%}",
    )


def summary_of(rows: tuple[ClosingRow, ...], name: str) -> dict[str, dict[str, float]]:
    """Picks the measures of one model by split."""
    return {
        row.split: {"cross_entropy": row.cross_entropy, "perplexity": row.perplexity}
        for row in rows
        if row.model == name
    }
