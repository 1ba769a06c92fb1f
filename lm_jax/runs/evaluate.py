"""Scoring a text with a finished run."""

from pathlib import Path
from typing import Any

from lm_jax.data.corpora import SPLITS, load_texts, load_whole_text
from lm_jax.errors import UserError
from lm_jax.models.ngram.estimate import NOT_PROBABILITIES
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
    if split not in (*SPLITS, "all"):
        raise UserError(f"split must be one of {', '.join(SPLITS)} or all, got {split!r}")
    config, record, vocabulary = RunFolder(Path(run)).read()
    if data is None and record["corpus"]["sha256"] is None:
        raise UserError(f"a run made from an ARPA file has no text of its own: give --data, got none for {run}")
    if config.family == "ngram" and config.method in NOT_PROBABILITIES:
        raise UserError(f"perplexity needs probabilities that sum to one, got a run of {config.method}, which scores")
    source = (config.data.data if data is None else data, vocabulary.level, config.data.text_column)
    text = load_whole_text(*source) if split == "all" else getattr(load_texts(*source), split)
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
