"""Word vectors in the text format of GloVe and word2vec: a word and its numbers on each line."""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lm_jax.data.text_files import cause_of
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError
from lm_jax.input_files import bounded_lines, open_regular, unpacked_limit


class WordVectors(NamedTuple):
    """Word vectors of a file: ids int [N], vectors float32 [N, E], and the share of words that are missing."""

    ids: np.ndarray
    vectors: np.ndarray
    missing: float


def read_vectors(path: str | Path, vocabulary: Vocabulary, size: int) -> WordVectors:
    """Reads the vectors of vocabulary entries; a word that the file has in lower case only takes that.

    Args:
        path: the file, plain or .gz; its first line may be "WORDS SIZE", as word2vec writes it.
        vocabulary: of words.
        size: numbers of a vector.

    Raises:
        UserError: for a file that cannot be read, with vectors of another size, or without any of the words.
    """
    wanted = set(vocabulary.tokens) | {token.lower() for token in vocabulary.tokens}
    found: dict[str, np.ndarray] = {}
    for number, line in enumerate(_lines(Path(path).expanduser()), 1):
        word, *numbers = (line.removeprefix("\ufeff") if number == 1 else line).rstrip().split(" ")
        if number == 1 and len(numbers) == 1 and word.isdigit():
            continue
        if not numbers and number <= 2:
            raise UserError(
                f"a line of vectors must be a word and {size} numbers with spaces between, got line {number} of {path}",
                ["vectors"],
            )
        if len(numbers) != size and number <= 2:
            raise UserError(
                f"embedding_size must be that of the vectors, {len(numbers)} in {path}, got {size}",
                ["embedding_size", "vectors"],
            )
        if word in wanted and word not in found:
            found[word] = _vector(numbers, size, number, path)
    rows = [(id, found.get(token, found.get(token.lower()))) for id, token in enumerate(vocabulary.tokens)]
    rows = [(id, vector) for id, vector in rows if vector is not None]
    if not rows:
        raise UserError(f"vectors must have a word of the vocabulary, got none of them in {path}", ["vectors"])
    ids, vectors = zip(*rows, strict=True)
    return WordVectors(np.asarray(ids), np.stack(vectors), 1 - len(ids) / len(vocabulary))


def _vector(numbers, size, line, path):
    try:
        vector = np.asarray(numbers, np.float32)
    except ValueError:
        vector = np.full(size, np.nan)
    if len(vector) != size or not np.isfinite(vector).all():
        raise UserError(f"a line of vectors must be a word and {size} numbers, got line {line} of {path}", ["vectors"])
    return vector


def _lines(path):
    try:
        with open_regular(path) as raw:
            file = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            for line in bounded_lines(file, most=unpacked_limit(raw)):
                yield line.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(f"vectors must be a readable text file, got {path}: {cause_of(error)}", ["vectors"]) from error
