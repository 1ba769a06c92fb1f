"""Scores of a run: one text under one model, and the closing table of a training run with its baselines."""

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lm_jax.data.batching import cut_streams
from lm_jax.data.corpora import SPLITS, Corpus, as_bytes
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.inference.likelihood import likelihood, perplexity
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.ngram import BackoffParams, estimate
from lm_jax.models.ngram.score_text import text_log_probs
from lm_jax.types import Params


TRAIN_TOKENS = 500_000  # of a longer training text only so many are scored in the closing table


def count_parameters(params: Params) -> int:
    """Numbers in a pytree of arrays."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def bits_per(units: int, cross_entropy: float, tokens: int) -> float:
    """Total bits over the units of the text: characters or bytes."""
    return cross_entropy * tokens / math.log(2) / units


def unknown_rate(vocabulary: Vocabulary, tokens: np.ndarray) -> float:
    """The share of tokens that are the unknown word."""
    return 0.0 if vocabulary.unk_id is None else float(np.mean(tokens == vocabulary.unk_id))


def evaluate_tokens(
    model: LanguageModel,
    params: Params,
    vocabulary: Vocabulary,
    text: str | bytes,
    *,
    eval_streams: int,
    mode: str = "stream",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """tokens, cross_entropy (nats), perplexity, bits_per_character, bits_per_byte, unk_rate, eval_streams, seconds.

    A text of bytes has a byte for a character.
    """
    started = time.perf_counter()
    tokens = vocabulary.encode(text)
    result = likelihood(
        model, params, tokens, vocabulary.eol_id, eval_streams=eval_streams, mode=mode, progress=progress
    )
    return {
        "tokens": result.tokens,
        "cross_entropy": result.cross_entropy,
        "perplexity": result.perplexity,
        "bits_per_character": bits_per(len(text), result.cross_entropy, result.tokens),
        "bits_per_byte": bits_per(len(as_bytes(text)), result.cross_entropy, result.tokens),
        "unk_rate": unknown_rate(vocabulary, tokens),
        "eval_streams": min(eval_streams, result.tokens),
        "seconds": time.perf_counter() - started,
    }


BASELINES = {"unigram": (1, "add-k"), "bigram": (2, "witten-bell"), "5-gram MKN": (5, "modified-kneser-ney")}


def baselines(corpus: Corpus) -> dict[str, BackoffParams]:
    """What a model has to beat: n-gram models of the training text, by name."""
    size, eol_id = len(corpus.vocabulary), corpus.vocabulary.eol_id
    return {
        name: estimate(corpus.train, order, size, eol_id, method=method).params
        for name, (order, method) in BASELINES.items()
    }


def closing_table(corpus: Corpus, models: dict[str, Callable[[np.ndarray, str], float]]) -> list[dict[str, Any]]:
    """A row for each split and model, on the same tokens. models: from (tokens, split) to nats per token, by name."""
    rows = []
    for split in SPLITS:
        everything = getattr(corpus, split)
        tokens = everything[:TRAIN_TOKENS]
        share = len(tokens) / len(everything)  # characters and bytes of the part that is scored, by proportion
        sizes = {
            "tokens": len(tokens),
            "characters": corpus.characters[split] * share,
            "bytes": corpus.bytes[split] * share,
        }
        unknown = unknown_rate(corpus.vocabulary, tokens)
        rows += [_row(split, name, score(tokens, split), sizes, unknown) for name, score in models.items()]
    return rows


def model_scorer(
    model: LanguageModel,
    params: Params,
    eol_id: int,
    eval_streams: int,
    mode: str,
    on_scoring: Callable[[str, int, int], None],
) -> Callable[[np.ndarray, str], float]:
    """Any model for `closing_table`."""

    def score(tokens, split):
        progress = functools.partial(on_scoring, f"scoring {split}")
        options = {"eval_streams": eval_streams, "mode": mode, "progress": progress}
        return likelihood(model, params, tokens, eol_id, **options).cross_entropy

    return score


def table_scorer(
    params: BackoffParams, eol_id: int, eval_streams: int, mode: str
) -> Callable[[np.ndarray, str], float]:
    """An n-gram model for `closing_table`; the contexts are those of the streams that other models read."""

    def score(tokens, split):
        streams = cut_streams(tokens, max(1, min(eval_streams, len(tokens))), eol_id)
        starts = np.cumsum(streams.lengths)[:-1] if mode == "stream" else ()
        return -float(np.mean(text_log_probs(params, tokens, eol_id, starts), dtype=np.float64))

    return score


def _row(split, label, cross_entropy, sizes, unk_rate):
    return {
        "split": split,
        "model": label,
        "tokens": sizes["tokens"],
        "cross_entropy": cross_entropy,
        "perplexity": perplexity(cross_entropy),
        "bits_per_character": bits_per(sizes["characters"], cross_entropy, sizes["tokens"]),
        "bits_per_byte": bits_per(sizes["bytes"], cross_entropy, sizes["tokens"]),
        "unk_rate": unk_rate,
    }
