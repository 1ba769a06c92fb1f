"""Scoring a text with a finished run."""

from pathlib import Path
from typing import Any

from lm_jax.data.corpora import SPLITS, load_texts, load_whole_text
from lm_jax.errors import UserError
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
    if split not in (*SPLITS, "all"):
        raise UserError(f"split must be one of {', '.join(SPLITS)} or all, got {split!r}")
    config, record, vocabulary = RunFolder(Path(run)).read()
    refuse_unscorable(run, config, record, data)
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
