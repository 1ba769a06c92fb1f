"""Scores of a run: one text under one model, and the closing table of a training run with its baselines."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lm_jax.data.corpora import SPLITS, Corpus
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.inference.likelihood import likelihood
from lm_jax.models.baselines import bigram_cross_entropy, unigram_cross_entropy
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Params


TRAIN_TOKENS = 500_000  # of a longer training text only so many are scored in the closing table


def count_parameters(params: Params) -> int:
    """Numbers in a pytree of arrays."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def bits_per_character(cross_entropy: float, tokens: int, characters: int) -> float:
    """Total bits over the characters of the text (at byte level: its bytes)."""
    return cross_entropy * tokens / math.log(2) / characters


def evaluate_tokens(
    model: LanguageModel,
    params: Params,
    vocabulary: Vocabulary,
    tokens: np.ndarray,
    characters: int,
    *,
    eval_streams: int,
    mode: str = "stream",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """tokens, cross_entropy (nats), perplexity, bits_per_character, unk_rate, eval_streams and seconds."""
    started = time.perf_counter()
    result = likelihood(
        model, params, tokens, vocabulary.eol_id, eval_streams=eval_streams, mode=mode, progress=progress
    )
    unknown = 0.0 if vocabulary.unk_id is None else float(np.mean(tokens == vocabulary.unk_id))
    return {
        "tokens": result.tokens,
        "cross_entropy": result.cross_entropy,
        "perplexity": result.perplexity,
        "bits_per_character": bits_per_character(result.cross_entropy, result.tokens, characters),
        "unk_rate": unknown,
        "eval_streams": min(eval_streams, result.tokens),
        "seconds": time.perf_counter() - started,
    }


def closing_table(
    name: str, model: LanguageModel, params: Params, corpus: Corpus, *, eval_streams: int, mode: str
) -> list[dict[str, Any]]:
    """A row for each split and model: the unigram and bigram baselines, then the model, on the same tokens."""
    rows = []
    vocabulary = corpus.vocabulary
    for split in SPLITS:
        everything = getattr(corpus, split)
        tokens = everything[:TRAIN_TOKENS]
        characters = corpus.characters[split]
        if len(tokens) < len(everything):  # the characters of the part that is scored, by proportion
            characters = round(characters * len(tokens) / len(everything))
        baselines = {
            "unigram (add-one)": unigram_cross_entropy(corpus.train, tokens, len(vocabulary)),
            "bigram (Witten-Bell)": bigram_cross_entropy(corpus.train, tokens, len(vocabulary), vocabulary.eol_id),
        }
        for label, cross_entropy in baselines.items():
            rows.append(_row(label, split, len(tokens), cross_entropy, characters))
        scored = evaluate_tokens(model, params, vocabulary, tokens, characters, eval_streams=eval_streams, mode=mode)
        rows.append(_row(name, split, len(tokens), scored["cross_entropy"], characters))
    return rows


def _row(label, split, tokens, cross_entropy, characters):
    return {
        "split": split,
        "model": label,
        "tokens": tokens,
        "cross_entropy": cross_entropy,
        "perplexity": math.exp(min(cross_entropy, 700.0)),
        "bits_per_character": bits_per_character(cross_entropy, tokens, characters),
    }
