"""Scores of one model on one text: its loss in each block of the text, and what else a comparison needs."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lm_jax.data.corpora import unknown_rate
from lm_jax.inference.likelihood import CHUNK, line_sums, token_log_probs
from lm_jax.inference.significance import Blocks, cut_blocks
from lm_jax.queries.compared_model import ComparedModel


class BlockScores(NamedTuple):
    """A text under a model. nats, tokens, characters: float64 [K], sums over its blocks; nats is of -log P.

    predicts: equal for models whose perplexities compare: same tokens, same vocabulary. impossible:
    tokens of probability 0. spelled: whether the tokens give the text back, character by character. seconds: of
    scoring, without compiling.
    """

    level: str
    vocabulary: int
    predicts: tuple
    blocks: Blocks
    nats: np.ndarray
    tokens: np.ndarray
    characters: np.ndarray
    impossible: int
    unk_rate: float
    spelled: bool
    eval_streams: int
    seconds: float


def score_blocks(
    model: ComparedModel,
    tokens: np.ndarray,
    text: str | bytes,
    eval_streams: int,
    progress: Callable[[int, int], None] | None = None,
) -> BlockScores:
    """Scores a text under a model, each of its tokens once.

    Args:
        model: The model.
        tokens: The text, ids [N].
        text: The same in characters or bytes.
        eval_streams: Parallel streams that it is cut into.
        progress: Called with (chunks done, chunks in all).

    Returns:
        The scores. A first part is scored before, too, so that `seconds` is without compiling.
    """
    vocabulary = model.vocabulary
    where, options = (model.model, model.params), {"eval_streams": eval_streams, "mode": model.mode}
    token_log_probs(*where, tokens[: 2 * CHUNK * eval_streams], vocabulary.eol_id, **options)
    started = time.perf_counter()
    log_probs = token_log_probs(*where, tokens, vocabulary.eol_id, **options, progress=progress)
    seconds = time.perf_counter() - started
    _, lengths = line_sums(log_probs, tokens, vocabulary.eol_id)
    blocks = cut_blocks(lengths)
    counts = blocks.sums(np.ones(len(tokens)))
    return BlockScores(
        level=vocabulary.level,
        vocabulary=len(vocabulary),
        predicts=(
            vocabulary.level,
            frozenset(vocabulary.tokens),
            vocabulary.merges,
            vocabulary.tokenizer,
            vocabulary.lower,
            len(tokens),
        ),
        blocks=blocks,
        nats=-blocks.sums(log_probs),
        tokens=counts,
        characters=_characters(text, blocks, counts),
        impossible=int(np.isneginf(log_probs).sum()),
        unk_rate=unknown_rate(vocabulary, tokens),
        spelled=isinstance(text, bytes) or vocabulary.decode(tokens) == text,
        eval_streams=min(eval_streams, len(tokens)),
        seconds=seconds,
    )


def _characters(text, blocks, tokens):
    """Characters of each block with its ends of lines; in pieces of the token stream by proportion."""
    string = text.decode(errors="replace") if isinstance(text, bytes) else text
    if blocks.unit == "token":
        return tokens * len(string) / tokens.sum()
    *lines, rest = string.split("\n")
    lengths = np.asarray([len(line) + 1 for line in lines] + [len(rest)] * bool(rest), np.float64)
    return np.add.reduceat(lengths, np.arange(0, len(lengths), int(blocks.size)))
