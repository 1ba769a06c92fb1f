"""Checks that runs have in common what their scores need to compare: one text, and one number of streams."""

from collections.abc import Sequence

from lm_jax.data.sources import joined
from lm_jax.data.texts import load_texts, load_whole_text
from lm_jax.errors import UserError
from lm_jax.runs.open import OpenedRun


def same_streams(runs: Sequence[OpenedRun]) -> int:
    """Returns the eval_streams of all runs; UserError where they differ."""
    numbers = {run.config.eval_streams: run.path for run in runs}
    if len(numbers) > 1:
        got = ", ".join(f"{number} of {path}" for number, path in numbers.items())
        rule = "perplexities compare at one number of streams only: give eval_streams"
        raise UserError(f"{rule}, got {got}", ["eval_streams"])
    return next(iter(numbers))


def same_text(runs: Sequence[OpenedRun], data: str | None, split: str) -> tuple[str, str | bytes]:
    """Returns where the text is from, and the one text on which all runs are scored:
    bytes if all are of bytes, else a string.

    Args:
        runs: At least one.
        data: A source as of `load_texts`; None for the runs' own.
        split: "train", "valid", "test" or "all".

    Returns:
        (source, text).

    Raises:
        UserError: Where the runs' own is not one and the same text, or is no longer what they were trained on.
    """
    first = runs[0]
    column = first.config.data.text_column
    level = "byte" if all(run.vocabulary.level == "byte" for run in runs) else "char"
    if data is not None and split == "all":
        return data, load_whole_text(data, level, column)
    if data is None:
        _refuse_different_texts(runs)
    texts = load_texts(first.config.data.data if data is None else data, level, column)
    if data is None and texts.sha256 != first.record["corpus"]["sha256"]:
        raise UserError(
            f"the text of a run must be as it was: give data, got a changed {texts.source} ({first.path})", ["data"]
        )
    if split == "all":
        return texts.source, joined(texts.train, texts.valid, texts.test)
    return texts.source, getattr(texts, split)


def _refuse_different_texts(runs):
    first = runs[0]
    for other in runs[1:]:
        corpus, other_corpus = first.record["corpus"], other.record["corpus"]
        if corpus["sha256"] != other_corpus["sha256"]:
            got = f"{corpus['source']} ({first.path}) and {other_corpus['source']} ({other.path})"
            levels = {first.vocabulary.level, other.vocabulary.level}
            hint = "; at byte level a file is split at other places" if "byte" in levels and len(levels) > 1 else ""
            rule = "runs of different texts compare on one text only: give data"
            raise UserError(f"{rule}, got {got}{hint}", ["data"])
