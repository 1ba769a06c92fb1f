"""Scoring a text with a finished run."""

from pathlib import Path
from typing import Any

from lm_jax.data.corpora import check_split, load_split
from lm_jax.runs.facts import refuse_unscorable
from lm_jax.runs.folder import RunFolder
from lm_jax.runs.load import load
from lm_jax.runs.results import evaluate_tokens


def evaluate(
    run: str | Path, data: str | None = None, split: str = "test", *, eval_streams: int | None = None, progress=None
) -> dict[str, Any]:
    """The scores of one split ("train", "valid", "test" or "all") of a text (default: the run's own).

    Returns tokens, cross_entropy (nats per token), perplexity, bits_per_character, bits_per_byte, unk_rate,
    eval_streams and seconds.
    Raises UserError for an unknown split or a text with tokens that the vocabulary lacks.
    """
    check_split(split)
    config, record, vocabulary = RunFolder(Path(run)).read()
    refuse_unscorable(run, config, record, data)
    source = (config.data.data if data is None else data, vocabulary.level, config.data.text_column)
    text = load_split(*source, split)
    model, params, _ = load(run)
    return evaluate_tokens(
        model,
        params,
        vocabulary,
        text,
        eval_streams=eval_streams or config.eval_streams,
        mode=config.mode,
        progress=progress,
    )
