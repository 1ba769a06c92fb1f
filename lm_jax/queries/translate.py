"""Translations of sentences, and where in the source each token of one was read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.copying import write
from lm_jax.inference.translation import Found, SearchSettings, alignment, translate_batch
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_loaded
from lm_jax.queries.texts import checked_text, checked_texts
from lm_jax.report.attention_figure import attention_figure
from lm_jax.report.html import figure_html
from lm_jax.report.rows import Rows
from lm_jax.short_repr import shortly_shown


@shortly_shown
class Translation(NamedTuple):
    """A translation. log_prob: nats, of the text and its end. score: what a search ranks by, log_prob divided by length
    to the power of length_penalty, with the coverage penalty. finished: whether it came to an end. length: tokens, with
    the end."""

    text: str
    log_prob: float
    score: float
    finished: bool
    length: int


@shortly_shown
class AttentionMap(NamedTuple):
    """Where a translation was read: weights [T][S] of each target token, its end the last, by each source token."""

    source: list[str]
    target: list[str]
    weights: list[list[float]]

    def _repr_html_(self) -> str:
        return figure_html(attention_figure(self), "weights of attention")


def translate(
    run: RunLike,
    texts: Sequence[str],
    *,
    n_best: int = 1,
    beam_size: int | None = None,
    length_penalty: float | None = None,
    coverage_penalty: float | None = None,
    cell: UserCell | None = None,
) -> list[list[Translation]]:
    """Translates each text.

    Args:
        run: The folder of a translator's run, or a run that is loaded.
        texts: Any number of sentences.
        n_best: How many translations of each.
        beam_size: Hypotheses of the search; default: the run's setting.
        length_penalty: Log-probabilities are divided by length to this power; default: the run's setting.
        coverage_penalty: Weight of what attention has left of the source; default: the run's setting.
        cell: The user's own cell that the run was trained with.

    Returns:
        For each text at most n_best translations, best first. Unknown words are copied from the source.

    Raises:
        UserError: For no run of a translator, a text that is empty or too long, and a setting out of its range.
    """
    loaded = as_loaded(run, cell, "translator")
    texts = checked_texts(texts)
    config = loaded.config
    search = SearchSettings(
        config.beam_size if beam_size is None else beam_size,
        config.length_penalty if length_penalty is None else length_penalty,
        config.coverage_penalty if coverage_penalty is None else coverage_penalty,
    )
    check_sizes(n_best=n_best)
    search.check(loaded.model)
    if n_best > search.beam_size:
        raise UserError(f"n_best must be at most beam_size {search.beam_size}, got {n_best}", ["n_best", "beam_size"])
    if not texts:
        return []
    sources = [encode_source(loaded, text) for text in texts]
    found = translate_batch(loaded.model, loaded.params, sources, loaded.vocabulary.target.eol_id, search)
    return [
        Rows(_translation(loaded, text, one) for one in of_text[:n_best])
        for text, of_text in zip(texts, found, strict=True)
    ]


def _translation(run: LoadedRun, source: str, found: Found) -> Translation:
    text, length = write(run.model, run.params, run.vocabulary, source, found.tokens), len(found.tokens)
    return Translation(text, found.log_prob, found.score, found.finished, length + int(found.finished))


def attention_map(run: RunLike, source: str, target: str, cell: UserCell | None = None) -> AttentionMap:
    """Measures which source tokens each token of a translation was written beside.

    Args:
        run: The folder of a translator's run, or a run that is loaded.
        source: A sentence.
        target: A translation of it, the model's own or another.
        cell: The user's own cell that the run was trained with.

    Returns:
        The tokens and the weights of attention.

    Raises:
        UserError: For no run of a translator, one without attention, and a text that cannot be read.
    """
    loaded = as_loaded(run, cell, "translator")
    vocabulary = loaded.vocabulary
    ids = vocabulary.encode_target(checked_text(target, "a translation"))
    weights = alignment(loaded.model, loaded.params, encode_source(loaded, source), ids, vocabulary.target.eol_id)
    spelled = [*vocabulary.target_tokens(ids[:-1]), END]
    return AttentionMap(vocabulary.source_tokens(source), spelled, weights.tolist())


END = "⏎"


def encode_source(run: LoadedRun, text: str) -> np.ndarray:
    """Returns the ids of a sentence; raises UserError for one that is empty or too long."""
    ids, limit = run.vocabulary.encode_source(checked_text(text, "a sentence")), run.config.data.max_length
    if not len(ids):
        raise UserError(f"a sentence must hold a word, got {text!r}")
    if len(ids) > limit:
        raise UserError(f"a sentence has at most {limit:,} tokens, as those of the run, got {len(ids):,}")
    return ids
