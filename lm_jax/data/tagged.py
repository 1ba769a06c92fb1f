"""Sentences whose words have tags, in three splits, from files or from the standard library's sources."""

import hashlib
import platform
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lm_jax.data.near_files import near_files
from lm_jax.data.python_names import standard_library, tagged_functions
from lm_jax.data.sources import SPLIT_NAMES
from lm_jax.data.spans import PREFIXES, illegal_step, scheme_of, stray_tags
from lm_jax.data.tagged_files import Sentence, read_sentences
from lm_jax.data.texts import SPLITS
from lm_jax.errors import UserError


ENDINGS = (".conllu", ".conll", ".tsv", ".txt")
EVERY = 20  # of so many sentences of a file one is for validation and one for testing
EVERY_MODULE = 10  # and of so many modules


class TaggedTexts(NamedTuple):
    """Sentences by split, and where they come from."""

    source: str
    splits: dict[str, list[Sentence]]

    @property
    def sha256(self) -> str:
        """A fingerprint of words and tags."""
        parts = ("\n\n".join(map(_as_columns, self.splits[split])) for split in SPLITS)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load_tagged(data: str | None = None, column: str = "upos", max_length: int = 512) -> TaggedTexts:
    """Loads the sentences of a source, in three splits.

    Args:
        data: None (functions of the standard library, see python_names.py); a folder with one file each for train,
            valid and test, whose names are or end with these words (dev for valid, en_ewt-ud-train.conllu); or one
            file, of which every 20 sentences give one to valid and one to test.
        column: The column of a CoNLL-U file that has the tags, one of `COLUMNS`.
        max_length: The most words of a sentence.

    Raises:
        UserError: For what cannot be read so, a sentence that is longer, a tag that only valid or test have, and where
            tags are BIO or IOBES for an illegal sequence.
    """
    if data is None:
        return _checked(_python_names(), max_length)
    path = Path(data).expanduser()
    if path.is_dir():
        splits = {split: read_sentences(file, column) for split, file in _split_files(path).items()}
        return _checked(TaggedTexts(data, splits), max_length)
    _check_exists(path, data)
    return _checked(TaggedTexts(data, _dealt(read_sentences(path, column), data)), max_length)


def load_tagged_split(data: str | None, column: str, max_length: int, split: str) -> list[Sentence]:
    """Loads one split of a source, or "all"; of a single file all sentences are there, however few.

    Args:
        data: A source, as for `load_tagged`.
        column: The column of a CoNLL-U file that has the tags.
        max_length: The most words of a sentence.
        split: "train", "valid", "test" or "all".

    Raises:
        UserError: As `load_tagged` does.
    """
    path = None if data is None else Path(data).expanduser()
    if split == "all" and path is not None and not path.is_dir():
        _check_exists(path, str(data))
        sentences = read_sentences(path, column)
        for sentence in sentences:
            check_length(sentence, max_length)
        return sentences
    splits = load_tagged(data, column, max_length).splits
    return [sentence for part in SPLITS for sentence in splits[part] if split in (part, "all")]


def check_length(sentence: Sentence, max_length: int) -> None:
    """Raises UserError for a sentence of more words than that."""
    if len(sentence.words) > max_length:
        raise UserError(
            f"a sentence may have max_length {max_length} words, got {len(sentence.words)} "
            f"from line {sentence.lines[0]} of {sentence.file}",
            ["max_length"],
        )


def check_tags(sentences: Sequence[Sentence], known: Sequence[str]) -> None:
    """Raises UserError for a tag that is not among those of the training data."""
    names = set(known)
    for sentence in sentences:
        for tag, line in zip(sentence.tags, sentence.lines, strict=True):
            if tag not in names:
                raise UserError(f"a tag must occur in the training data, got {tag} in line {line} of {sentence.file}")


def check_scheme(sentences: Sequence[Sentence]) -> None:
    """Raises UserError for a tag outside BIO or IOBES where nearly all others are of it: with it no tag would mark a
    span, and no sequence be illegal."""
    stray = stray_tags(Counter(tag for sentence in sentences for tag in sentence.tags))
    if stray is None:
        return
    scheme, outside = stray
    places = ((tag, line, one.file) for one in sentences for tag, line in zip(one.tags, one.lines, strict=True))
    tag, line, file = next(place for place in places if place[0] in outside)
    forms = ", ".join(["O", *(f"{prefix}-KIND" for prefix in PREFIXES[scheme])])
    raise UserError(f"tags of which nearly all are {scheme} must be one of {forms}, got {tag} in line {line} of {file}")


def check_legal(sentences: Sequence[Sentence], known: Sequence[str]) -> None:
    """Raises UserError for a sentence that breaks the scheme of the tags, where they are BIO or IOBES."""
    scheme = scheme_of(known)
    for sentence in sentences if scheme else ():
        place = illegal_step(str(scheme), sentence.tags)
        if place is None:
            continue
        tag = sentence.tags[place] if place < len(sentence.tags) else "the end of the sentence"
        before = f"after {sentence.tags[place - 1]}" if place else "at the beginning of a sentence"
        line = sentence.lines[min(place, len(sentence.lines) - 1)]
        raise UserError(f"{scheme} tags must be a legal sequence, got {tag} {before} in line {line} of {sentence.file}")


def _check_exists(path, data):
    if not path.exists():
        rule = "data must be an existing file or folder of tagged words"
        raise UserError(f"{rule}, got {data}{near_files(data)}", ["data"])


def _checked(texts, max_length):
    for sentences in texts.splits.values():
        for sentence in sentences:
            check_length(sentence, max_length)
    known = sorted({tag for sentence in texts.splits["train"] for tag in sentence.tags})
    if len(known) < 2:
        raise UserError(f"tagging needs at least 2 tags, got {len(known)} in {texts.source}: {', '.join(known)}")
    for split in SPLITS:
        check_tags(texts.splits[split], known)
        check_legal(texts.splits[split], known)
    return texts


def _python_names():
    splits = {split: [] for split in SPLITS}
    for number, (name, source) in enumerate(standard_library()):
        split = _split_of(number, EVERY_MODULE)
        for words, tags, line in tagged_functions(source):
            splits[split].append(Sentence(words, tags, (line,) * len(words), f"{name}.py"))
    return TaggedTexts(f"functions of the standard library of Python {platform.python_version()}", splits)


def _split_of(number, every):
    return {every - 2: "valid", every - 1: "test"}.get(number % every, "train")


def _dealt(sentences, data):
    if len(sentences) < EVERY:
        raise UserError(
            f"a file of which one sentence in {EVERY} is for validation and one for testing needs {EVERY} sentences, "
            f"got {len(sentences)} in {data}; or give a folder with train, valid and test",
            ["data"],
        )
    return {split: [s for i, s in enumerate(sentences) if _split_of(i, EVERY) == split] for split in SPLITS}


def _split_files(folder):
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS and file.is_file()]
    found = {}
    for split, names in SPLIT_NAMES.items():
        of_split = [file for file in files if file.stem.replace("_", "-").split("-")[-1].lower() in names]
        if len(of_split) != 1:
            got = " and ".join(file.name for file in of_split) or f"{folder} without {split}"
            raise UserError(
                "a folder of tagged words needs train, valid (or dev) and test, each one file whose name is that word "
                f"or ends with it ({', '.join(ENDINGS)}); got {got}",
                ["data"],
            )
        found[split] = of_split[0]
    return found


def _as_columns(sentence):
    return "\n".join(f"{word}\t{tag}" for word, tag in zip(sentence.words, sentence.tags, strict=True))
