"""The rows of a comparison, from the scores of many models on one text: intervals, and the test of each row."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lm_jax.data.texts import as_bytes
from lm_jax.inference.likelihood import perplexity
from lm_jax.inference.significance import PairedTest, bootstrap_ratio, paired_test
from lm_jax.queries.block_scores import BlockScores
from lm_jax.queries.compared_model import ComparedModel
from lm_jax.report.comparison_row import ComparisonRow


LN2 = math.log(2)


class ComparedText(NamedTuple):
    """The text on which all models are evaluated: where it is from, which part of it, and its characters or bytes."""

    source: str
    split: str
    text: str | bytes


def comparison_rows(
    results: Sequence[tuple[ComparedModel, BlockScores]], text: ComparedText, samples: int, seed: int
) -> list[ComparisonRow]:
    """Returns a row for each model, in the same order; each but the first is tested against the row above.

    Args:
        results: The models with their scores on the text.
        text: The text.
        samples: Resamples of an interval and sign flips of a test.
        seed: Seed of both.

    Returns:
        The rows; without perplexities where the models' vocabularies differ.
    """
    same = len({scores.predicts for _, scores in results}) == 1
    above = [None, *(scores for _, scores in results[:-1])]
    return [
        _row(model, scores, before, same, text, samples, seed)
        for (model, scores), before in zip(results, above, strict=True)
    ]


def _row(model, scores, above, same, text, samples, seed) -> ComparisonRow:
    nats = bootstrap_ratio(scores.nats, scores.tokens, samples, seed) if same else None
    bits = bootstrap_ratio(scores.nats / LN2, scores.characters, samples, seed)
    test = _test(scores, above, same, samples, seed)
    return ComparisonRow(
        name=model.name,
        run=model.run,
        mode=model.mode,
        family=model.family,
        parameters=model.size.parameters,
        ngrams=model.size.ngrams,
        bytes=model.size.bytes,
        training_seconds=model.size.training_seconds,
        weights=model.weights,
        source=text.source,
        split=text.split,
        samples=samples,
        seed=seed,
        level=scores.level,
        vocabulary=scores.vocabulary,
        eval_streams=scores.eval_streams,
        tokens=int(scores.tokens.sum()),
        characters=round(scores.characters.sum()),
        cross_entropy=nats and nats.estimate,
        cross_entropy_low=nats and nats.low,
        cross_entropy_high=nats and nats.high,
        perplexity=nats and perplexity(nats.estimate),
        perplexity_low=nats and perplexity(nats.low),
        perplexity_high=nats and perplexity(nats.high),
        bits_per_character=bits.estimate,
        bits_per_character_low=bits.low,
        bits_per_character_high=bits.high,
        bits_per_byte=float(scores.nats.sum() / LN2 / len(as_bytes(text.text))),
        unk_rate=scores.unk_rate,
        spelled=scores.spelled,
        impossible=scores.impossible,
        tokens_per_second=float(scores.tokens.sum() / scores.seconds),
        blocks=len(scores.nats),
        block_size=scores.blocks.size,
        block_unit=scores.blocks.unit,
        difference_unit="nats per token" if same else "bits per character",
        difference=test and test.difference,
        difference_low=test and test.low,
        difference_high=test and test.high,
        p_value=test and test.p_value,
    )


def _test(scores, above, same, samples, seed) -> PairedTest | None:
    """Returns the paired test against the row above:
    per token of the same tokens, else per character of the same lines."""
    if above is None or scores.impossible or above.impossible:
        return None
    if same:
        return paired_test(scores.nats, above.nats, scores.tokens, samples, seed)
    if scores.spelled and above.spelled and scores.blocks.unit == above.blocks.unit == "line":
        return paired_test(scores.nats / LN2, above.nats / LN2, scores.characters, samples, seed)
    return None
