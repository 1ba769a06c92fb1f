"""What runs must agree on before their scores compare: one text, and one number of streams that it is cut into."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lm_jax.data.corpora import load_texts, load_whole_text
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError


class ReadRun(NamedTuple):
    """The path of a run as it was given, and what `read_run` says of it."""

    run: str
    config: Any
    record: dict[str, Any]
    vocabulary: Vocabulary


def agreed_streams(runs: Sequence[ReadRun]) -> int:
    """The eval_streams of all runs; UserError where they differ."""
    numbers = {one.config.eval_streams: one.run for one in runs}
    if len(numbers) > 1:
        got = ", ".join(f"{number} of {run}" for number, run in numbers.items())
        raise UserError(f"perplexities compare at one number of streams only: give --eval-streams, got {got}")
    return next(iter(numbers))


def agreed_text(runs: Sequence[ReadRun], data: str | None, split: str) -> tuple[str, str | bytes]:
    """Where the text is from, and the one text that all runs are scored on: bytes if all are of bytes, else a string.

    data: a source as of `load_texts`; None for the runs' own. Raises UserError if that is not one and the same, or
    is no longer what the runs were trained on.
    """
    run, config, record, _ = runs[0]
    level = "byte" if all(one.vocabulary.level == "byte" for one in runs) else "char"
    if data is not None and split == "all":
        return data, load_whole_text(data, level, config.data.text_column)
    if data is None:
        _refuse_different_texts(runs)
    texts = load_texts(config.data.data if data is None else data, level, config.data.text_column)
    if data is None and texts.sha256 != record["corpus"]["sha256"]:
        raise UserError(f"the text of a run must be as it was: give --data, got a changed {texts.source} ({run})")
    if split == "all":
        return texts.source, texts.train + texts.valid + texts.test
    return texts.source, getattr(texts, split)


def _refuse_different_texts(runs):
    first = runs[0]
    for other in runs[1:]:
        one, two = first.record["corpus"], other.record["corpus"]
        if one["sha256"] != two["sha256"]:
            got = f"{one['source']} ({first.run}) and {two['source']} ({other.run})"
            levels = {first.vocabulary.level, other.vocabulary.level}
            hint = "; at byte level a file is split at other places" if "byte" in levels and len(levels) > 1 else ""
            raise UserError(f"runs of different texts compare on one text only: give --data, got {got}{hint}")
