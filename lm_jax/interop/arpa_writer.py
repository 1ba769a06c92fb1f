"""Back-off tables to ARPA files."""

import contextlib
import gzip
import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError
from lm_jax.files import replacing
from lm_jax.interop.arpa import START_OF_LINE, comment, spell
from lm_jax.models.ngram.tables import BackoffParams, not_a_distribution


# Nine significant digits bring every float32 natural logarithm back to the last bit: they are wrong by at most 5e-9 of
# the value, half the way to the next float32 is at least 2**-25 = 3e-8 of it, and the float64 arithmetic adds 1e-15.
NUMBER = "%.9g"
BLOCK = 1 << 16  # n-grams that are text at the same time


def write_arpa(params: BackoffParams, vocabulary: Vocabulary, path: str | Path, method: str) -> None:
    """Writes tables as an ARPA file, compressed if the name ends in .gz; `read_arpa` gives them back, bit for bit.

    The file appears only when it is complete.

    Args:
        path: the file.
        params: the tables.
        vocabulary: the vocabulary of the tables.
        method: the estimator, for the comment and for messages.

    Raises:
        UserError: before anything is written, for tables that an ARPA file cannot hold (maximum likelihood, stupid
            back-off), or for a vocabulary that is not theirs.
    """
    path = Path(path).expanduser()
    reason = not_a_distribution(params)
    if reason is not None:
        raise UserError(f"an ARPA file holds probabilities above 0 and back-off weights, but in {method} {reason}")
    if len(vocabulary) != len(params.words[0]):
        raise UserError(
            f"the vocabulary must be that of the tables, {len(params.words[0])} entries, got {len(vocabulary)}"
        )
    words = spell(vocabulary)
    with _new_file(path) as file:
        for text in _pieces(params, words, vocabulary.eol_id, comment(vocabulary, method)):
            file.write(text.encode())


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """A file to write that takes its name at the end; compressed by name, with no time in it."""
    try:
        with replacing(path) as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0, compresslevel=6) as file:
                    yield file
            else:
                yield raw
    except OSError as error:
        raise UserError(f"an ARPA file must be writable, got {path}: {error.strerror}") from error


def _pieces(params, words, eol_id, first_line):
    sizes = params.sizes
    counts = [sizes[0] + 1, *sizes[1:]]  # <s> is a unigram of its own
    yield "\n".join([first_line, "\\data\\", *(f"ngram {k}={n}" for k, n in enumerate(counts, 1))]) + "\n"
    parents = [np.repeat(np.arange(len(start) - 1, dtype=np.int32), np.diff(start)) for start in params.child_start]
    firsts = [*words[:eol_id], START_OF_LINE, *words[eol_id + 1 :]]
    spellings = np.array(words, object), np.array(firsts, object)
    for k, size in enumerate(sizes, 1):
        yield f"\n\\{k}-grams:\n"
        log_prob = _log10(params.log_prob[k - 1][:size])
        log_backoff = _log10(params.log_backoff[k - 1][:size]) if k < params.order else None
        if k == 1:
            yield f"-99\t{START_OF_LINE}" + ("\n" if log_backoff is None else f"\t{NUMBER % log_backoff[eol_id]}\n")
            if log_backoff is not None:
                log_backoff[eol_id] = 0.0  # nothing follows </s>
        for start in range(0, size, BLOCK):
            rows = np.arange(start, min(start + BLOCK, size))
            numbers = [log_prob[rows], *([] if log_backoff is None else [log_backoff[rows]])]
            yield _lines(_columns(params, parents, spellings, k, rows), [column.tolist() for column in numbers])
    yield "\n\\end\\\n"


def _log10(natural):
    return np.asarray(natural, np.float64) * (1 / math.log(10))


def _columns(params, parents, spellings, k, rows):
    """Returns the words of n-grams of order k, first to last: up the trie from the last."""
    words, firsts = spellings
    columns = []
    for order in range(k, 0, -1):
        ids = np.asarray(params.words[order - 1])[rows]
        columns.append((firsts if order == 1 and k > 1 else words)[ids].tolist())
        rows = parents[order - 2][rows] if order > 1 else rows
    return columns[::-1]


def _lines(words, numbers):
    """Writes a block of lines with one format: no loop over n-grams in Python."""
    line = f"{NUMBER}\t{' '.join(['%s'] * len(words))}" + f"\t{NUMBER}" * (len(numbers) - 1) + "\n"
    columns = [numbers[0], *words, *numbers[1:]]
    return line * len(numbers[0]) % tuple(chain.from_iterable(zip(*columns, strict=True)))
