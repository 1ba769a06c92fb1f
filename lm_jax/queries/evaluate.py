"""Scoring a text with a finished run: cross-entropy, perplexity, and bits per character and byte."""

import time
from collections.abc import Callable
from typing import NamedTuple

from lm_jax.data.corpora import as_bytes, check_split, load_split
from lm_jax.inference.likelihood import likelihood
from lm_jax.queries.loaded_run import RunLike, UserCell, as_loaded, as_opened
from lm_jax.queries.scorable import check_scorable
from lm_jax.runs.results import bits_per, unknown_rate


class Evaluation(NamedTuple):
    """A text under a model.

    cross_entropy: nats per token. eval_streams: parallel streams that the text was cut into. unk_rate: the share of
    tokens that are <unk>.
    """

    tokens: int
    cross_entropy: float
    perplexity: float
    bits_per_character: float
    bits_per_byte: float
    unk_rate: float
    eval_streams: int
    seconds: float


def evaluate(
    run: RunLike,
    data: str | None = None,
    split: str = "test",
    *,
    eval_streams: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cell: UserCell | None = None,
) -> Evaluation:
    """Scores one split of a text with the best step of a run; every token counts, the first and the last included.

    Args:
        run: The folder of a run, or a run that is loaded.
        data: A text as `DataConfig.data` names it. Default: the run's own.
        split: "train", "valid", "test" or "all".
        eval_streams: Parallel streams that the text is cut into. Default: the run's setting.
        progress: Called with (chunks done, chunks in all).
        cell: The user's own cell that the run was trained with.

    Returns:
        The scores. A text of bytes has a byte for a character.

    Raises:
        UserError: For no run, an unknown split, a text with tokens that the vocabulary lacks, and a model whose numbers
            are no probabilities.
    """
    check_split(split)
    opened = as_opened(run)
    check_scorable(opened, data)
    config, vocabulary = opened.config, opened.vocabulary
    source = config.data.data if data is None else data
    text = load_split(source, vocabulary.level, config.data.text_column, split)
    loaded = as_loaded(run, cell)
    started = time.perf_counter()
    tokens = vocabulary.encode(text)
    options = {"eval_streams": eval_streams or config.eval_streams, "mode": config.mode, "progress": progress}
    result = likelihood(loaded.model, loaded.params, tokens, vocabulary.eol_id, **options)
    return Evaluation(
        tokens=result.tokens,
        cross_entropy=result.cross_entropy,
        perplexity=result.perplexity,
        bits_per_character=bits_per(len(text), result.cross_entropy, result.tokens),
        bits_per_byte=bits_per(len(as_bytes(text)), result.cross_entropy, result.tokens),
        unk_rate=unknown_rate(vocabulary, tokens),
        eval_streams=min(options["eval_streams"], result.tokens),
        seconds=time.perf_counter() - started,
    )
