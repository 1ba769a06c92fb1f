"""The types of a vocabulary of words: which words of a text it has, in the order of their ids."""

from collections import Counter
from collections.abc import Callable, Iterable

from lm_jax.errors import UserError


END_OF_LINE = "</s>"
UNKNOWN = "<unk>"


def word_types(
    train: Iterable[str],
    others: Iterable[str],
    min_count: int = 1,
    max_size: int | None = None,
    *,
    unknown: bool = False,
    split: Callable[[str], list[str]] = str.split,
) -> tuple[str, ...]:
    """Returns the words of a training text, `<unk>` where it is needed, and `</s>`, by falling count, then by spelling.

    Args:
        train: The training text in blocks of whole lines.
        others: The other texts, in such blocks; words that only they have become `<unk>`.
        min_count: Words rarer than it become `<unk>`.
        max_size: The most types; the most frequent words stay beside `<unk>` and `</s>`.
        unknown: `<unk>` is a type even where no text needs it.
        split: Makes words of a block.

    Raises:
        UserError: For a text with the word `</s>`, and for too small a limit.
    """
    counts: Counter[str] = Counter()
    lines = 0
    for block in train:
        counts.update(split(block))
        lines += block.count("\n")
    if END_OF_LINE in counts:
        raise UserError(f"the word {END_OF_LINE} stands for the end of a line and must not occur in a text")
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    words = {word for word in ranked if counts[word] >= min_count}
    if unknown or len(words) < len(counts) or any(word not in words for block in others for word in split(block)):
        words.add(UNKNOWN)
    if max_size is not None and len(words) + 1 > max_size:
        if max_size < 3:
            rule = f"max_vocab must be at least 3 (a word, {UNKNOWN} and {END_OF_LINE})"
            raise UserError(f"{rule}, got {max_size}", ["max_vocab"])
        words = {UNKNOWN, *[word for word in ranked if word in words and word != UNKNOWN][: max_size - 2]}
    lost = sum(count for word, count in counts.items() if word not in words)
    counts[UNKNOWN] += lost
    counts[END_OF_LINE] = lines
    return tuple(sorted(words | {END_OF_LINE}, key=lambda word: (-counts[word], word)))
