"""Translations reranked by the noisy channel: a translator in the other direction and a language model beside it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.data.parallel import read_pairs
from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.corpus_measures import CorpusMeasure, corpus_measure
from lm_jax.inference.noisy_channel import (
    GRID,
    Candidate,
    Grid,
    Weights,
    choose,
    combine,
    features,
    language_model_scores,
    readable,
    reverse_scores,
    stack,
    tune,
)
from lm_jax.queries.channel_check import check_channel
from lm_jax.queries.loaded_run import RunLike, as_loaded
from lm_jax.queries.translate import translate
from lm_jax.short_repr import shortly_shown


@shortly_shown
class Reranked(NamedTuple):
    """A translation with its log-linear score, and what it is made of, as in `Candidate`."""

    text: str
    score: float
    direct: float
    reverse: float
    language_model: float
    length: int
    unknown_reverse: int
    unknown_language_model: int


@shortly_shown
class ChannelTuning(NamedTuple):
    """Weights tuned on pairs.

    measure: "BLEU" or "chrF". direct, tuned: its value for the best of each list by the direct search, and by the
    weights. unknown_reverse, unknown_language_model: shares of the candidates' tokens that the models do not know.
    """

    weights: Weights
    measure: str
    direct: float
    tuned: float
    pairs: int
    beam_size: int
    unknown_reverse: float
    unknown_language_model: float


def channel_candidates(
    run: RunLike,
    texts: Sequence[str],
    *,
    reverse: RunLike,
    language_model: RunLike,
    beam_size: int | None = None,
) -> list[list[Candidate]]:
    """Translates each text and scores the whole beam by three models.

    Args:
        run: The folder of a translator's run, or a run that is loaded: the direct model.
        texts: Any number of sentences.
        reverse: The run of a translator in the other direction.
        language_model: The run of a language model of the language that is written, of the same level of tokens. At
            word level it must have read words as the direct run's tokenizer splits them.
        beam_size: Candidates of each text; default: the run's setting.

    Returns:
        For each text its candidates, in the order of the direct search.

    Raises:
        UserError: For runs that do not belong together, and as `translate`.
    """
    direct, reverse = (as_loaded(one, wanted="translator") for one in (run, reverse))
    language_model = as_loaded(language_model, wanted="language model")
    check_channel(direct, reverse, language_model)
    size = direct.config.beam_size if beam_size is None else beam_size
    found = translate(direct, texts, n_best=size, beam_size=size)
    vocabulary = direct.vocabulary
    targets = [readable(vocabulary, one.text) for of_text in found for one in of_text]
    sources = [text for text, of_text in zip(texts, found, strict=True) for _ in of_text]
    back = reverse_scores(reverse.model, reverse.params, reverse.vocabulary, sources, targets)
    sentences = [vocabulary.target_text(text) for text in targets]
    alone = language_model_scores(language_model.model, language_model.params, language_model.vocabulary, sentences)
    scores = zip(back.log_probs, alone.log_probs, back.unknown, alone.unknown, strict=True)
    return [[_candidate(one, *next(scores)) for one in of_text] for of_text in found]


def _candidate(found, reverse, language_model, unknown_reverse, unknown_language_model):
    return Candidate(
        found.text,
        found.score,
        found.log_prob,
        float(reverse),
        float(language_model),
        found.length,
        int(unknown_reverse),
        int(unknown_language_model),
    )


def rerank(
    run: RunLike,
    texts: Sequence[str],
    *,
    reverse: RunLike,
    language_model: RunLike,
    weights: Sequence[float] = Weights(),
    n_best: int = 1,
    beam_size: int | None = None,
) -> list[list[Reranked]]:
    """Translates each text, and ranks the translations by three models; arguments as for `channel_candidates`.

    Args:
        run: The direct model.
        texts: Any number of sentences.
        reverse: The translator in the other direction.
        language_model: The language model of the language that is written.
        weights: Of log P(y | x), log P(x | y), log P(y) and |y|; see lm_jax/inference/noisy_channel.py.
        n_best: How many translations of each.
        beam_size: Candidates of each text; default: the run's setting.

    Returns:
        For each text at most n_best translations, best first.
    """
    if len(weights) != len(Weights()):
        raise UserError(f"weights must be {len(Weights())} numbers, got {len(weights)}", ["weights"])
    chosen = Weights(*weights)
    chosen.check()
    check_sizes(n_best=n_best)
    direct = as_loaded(run, wanted="translator")
    size = direct.config.beam_size if beam_size is None else beam_size
    if n_best > size:
        raise UserError(f"n_best must be at most beam_size {size}, got {n_best}", ["n_best", "beam_size"])
    lists = channel_candidates(direct, texts, reverse=reverse, language_model=language_model, beam_size=beam_size)
    return [_in_order(one, chosen, direct.config.length_penalty)[:n_best] for one in lists]


def _in_order(candidates, weights, length_penalty):
    scores = combine(features(candidates, length_penalty), weights)
    order = np.argsort(-scores, kind="stable")
    return [Reranked(candidates[k].text, float(scores[k]), *candidates[k][2:]) for k in order]


def tune_weights(
    run: RunLike,
    *,
    reverse: RunLike,
    language_model: RunLike,
    data: str | None = None,
    split: str = "valid",
    beam_size: int | None = None,
    grid: Grid = GRID,
) -> ChannelTuning:
    """Finds the weights with which reranked translations are best, on validation pairs.

    Args:
        run: The direct model.
        reverse: The translator in the other direction.
        language_model: The language model of the language that is written.
        data: Parallel text as for training; default: the run's own.
        split: "train", "valid" or "test".
        beam_size: Candidates of each text; default: the run's setting.
        grid: The weights that are tried.

    Returns:
        The weights, and what they are worth by BLEU, or without sacrebleu by chrF.
    """
    direct = as_loaded(run, wanted="translator")
    settings = direct.config.data
    pairs = read_pairs(settings.data if data is None else data, settings.source, settings.target)[1][split]
    lists = channel_candidates(
        direct, [pair.source for pair in pairs], reverse=reverse, language_model=language_model, beam_size=beam_size
    )
    measure = corpus_measure(direct.vocabulary.lower)
    statistics = candidate_statistics(lists, [pair.target for pair in pairs], measure)
    values = stack([features(one, direct.config.length_penalty) for one in lists])
    first = statistics[np.arange(len(lists)), choose(values, Weights(1.0, 0.0, 0.0))]
    best = tune(values, statistics, measure.score, grid)
    every = [one for of_text in lists for one in of_text]
    tokens = sum(one.length for one in every)
    return ChannelTuning(
        weights=best.weights,
        measure=measure.name,
        direct=measure.score(first.sum(axis=0)),
        tuned=best.value,
        pairs=len(pairs),
        beam_size=max(map(len, lists)),
        unknown_reverse=sum(one.unknown_reverse for one in every) / tokens,
        unknown_language_model=sum(one.unknown_language_model for one in every) / tokens,
    )


def candidate_statistics(
    lists: Sequence[Sequence[Candidate]], references: Sequence[str], measure: CorpusMeasure
) -> np.ndarray:
    """Returns the statistics [N, K, S] of each candidate beside its reference, in the layout of `stack`.

    Args:
        lists: K candidates for each of N texts.
        references: The reference translation of each text.
        measure: BLEU or chrF, with S numbers for a sentence.
    """
    pairs = zip(lists, references, strict=True)
    return stack([np.stack([measure.statistics(one.text, right) for one in of_text]) for of_text, right in pairs])
