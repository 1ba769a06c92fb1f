"""ARPA files to back-off tables."""

import dataclasses
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lm_jax.data.tokenizers import TOKENIZERS
from lm_jax.data.vocabulary import END_OF_LINE, SPLITTING, UNKNOWN, Vocabulary
from lm_jax.errors import UserError, one_of
from lm_jax.interop.arpa import NOT_IN_WORDS, START_OF_LINE, unspell
from lm_jax.interop.arpa_lines import Lines, open_lines, read_header, read_section
from lm_jax.models.ngram.counts import NGrams
from lm_jax.models.ngram.tables import BackoffParams, build_tables


START, END = START_OF_LINE.encode(), END_OF_LINE.encode()
NONE = np.zeros(0, np.int32)


class Section(NamedTuple):
    """The N n-grams of order k in the order of the file: ids [N, k], natural logarithms [N], the number of line 0.

    The id of <s> is V, but of <s> as the first word of a longer n-gram, that of </s>.
    """

    ids: np.ndarray
    log_prob: np.ndarray
    log_backoff: np.ndarray
    line: int


def read_arpa(path: str | Path) -> tuple[BackoffParams, Vocabulary]:
    """Reads the tables and the vocabulary of an ARPA file, compressed or not.

    Ids have the order of the 1-grams, without <s>. Raises UserError, with the number of the line, for a file that is
    not whole and consistent: the numbers of n-grams that the header promises, finite logarithms, probabilities up to
    1, words that are 1-grams, every n-gram once, and with it its context. Its suffix may be missing.
    """
    with open_lines(Path(path).expanduser()) as lines:
        metadata, counts = read_header(lines)
        words, section = _read_unigrams(lines, counts)
        vocabulary = _vocabulary(lines, words, metadata, section.line)
        ids = {word: i for i, word in enumerate([*words, START])}
        tables, sections, keys = [NGrams(section.ids[:, 0], NONE, NONE, NONE, NONE)], [section], []
        for k in range(2, len(counts) + 1):
            section = _read_ngrams(lines, k, counts, ids)
            prefix = _contexts(lines, section, keys, words)
            at, table_keys = _sorted(lines, section, prefix, words)
            keys.append(table_keys)
            tables.append(NGrams(section.ids[at, -1], prefix[at], NONE, NONE, NONE))
            sections.append(Section(NONE, section.log_prob[at], section.log_backoff[at], section.line))
        if lines.current != b"\\end\\":
            lines.fail("an ARPA file must end with \\end\\", lines.current)
        while lines.take(1000):  # what follows means nothing, but that it can be read proves a compressed file whole
            pass
    return build_tables(tables, [s.log_prob for s in sections], [s.log_backoff for s in sections[:-1]]), vocabulary


def _read_unigrams(lines: Lines, counts: list[int]) -> tuple[list[bytes], Section]:
    """Reads the words without <s>, and their numbers; the back-off weight of </s> is that of <s>."""
    blocks, words, seen = [], [], set()
    for block in read_section(lines, 1, counts):
        _check_words(lines, block.words[0], block.line, seen)
        blocks.append(block)
        words += block.words[0]
    first = blocks[0].line if blocks else lines.number
    if END not in seen:
        lines.fail(f"the 1-grams must have {END_OF_LINE}", "none", first)
    log_prob = np.concatenate([block.log_prob for block in blocks])
    log_backoff = np.concatenate([block.log_backoff for block in blocks])
    log_backoff[words.index(END)] = log_backoff[words.index(START)] if START in words else 0.0
    is_word = np.array([word != START for word in words])
    ids = np.arange(is_word.sum(), dtype=np.int32)[:, None]
    return [word for word in words if word != START], Section(ids, log_prob[is_word], log_backoff[is_word], first)


def _check_words(lines, words, first, seen):
    for line, word in enumerate(words, first):
        if word in seen:
            lines.fail("every n-gram must be there once", word, line)
        seen.add(word)
        try:
            text = word.decode()
        except UnicodeDecodeError:
            lines.fail("words must be UTF-8", word, line)
        if NOT_IN_WORDS.search(text):  # a text is split there, so that no text would have the word
            lines.fail("a word must not hold white space", ascii(text), line)


def _vocabulary(lines: Lines, words: list[bytes], metadata: dict[str, Any], line: int) -> Vocabulary:
    try:
        spelled = [word.decode() for word in words]
        if not metadata and UNKNOWN not in spelled:  # other programs write it in capitals too
            spelled = [UNKNOWN if word == UNKNOWN.upper() else word for word in spelled]
        found = unspell(spelled, metadata.get("level", "word"), metadata.get("merges"))
        one_of("tokenizer", metadata.get("tokenizer", found.tokenizer), TOKENIZERS)
        return dataclasses.replace(found, **{name: metadata[name] for name in SPLITTING if name in metadata})
    except UserError as error:
        raise UserError(f"{lines.path}, line {line}: {error}") from error


def _read_ngrams(lines: Lines, k: int, counts: list[int], ids: dict[bytes, int]) -> Section:
    """Order k. <s> may be the first word only, </s> the last only."""
    sections = []
    start, end = ids[START], ids[END]
    for block in read_section(lines, k, counts):
        n = len(block.log_prob)
        columns = [np.fromiter(map(ids.get, column, repeat(-1)), np.int32, n) for column in block.words]
        for j, column in enumerate(columns):
            for rule, wrong in (
                ("every word must be among the 1-grams", column < 0),
                (f"{START_OF_LINE} must be the first word of an n-gram", (column == start) & (j > 0)),
                (f"{END_OF_LINE} must be the last word of an n-gram", (column == end) & (j < k - 1)),
            ):
                if wrong.any():
                    at = int(np.argmax(wrong))
                    lines.fail(rule, b" ".join(words[at] for words in block.words), block.line + at)
        columns[0] = np.where(columns[0] == start, end, columns[0])
        sections.append(Section(np.stack(columns, 1), block.log_prob, block.log_backoff, block.line))
    if not sections:
        return Section(np.zeros((0, k), np.int32), np.zeros(0), np.zeros(0), lines.number)
    first, second, third = (np.concatenate([section[i] for section in sections]) for i in range(3))
    return Section(first, second, third, sections[0].line)


def _contexts(lines: Lines, section: Section, keys: list[np.ndarray], words: list[bytes]) -> np.ndarray:
    """Returns the row of the first k - 1 words of each n-gram in the table of order k - 1, int64 [N]: down the trie."""
    rows = section.ids[:, 0].astype(np.int64)
    for j, table in enumerate(keys, 1):
        wanted = rows * len(words) + section.ids[:, j]
        rows = np.searchsorted(table, wanted)
        missing = table[np.minimum(rows, len(table) - 1)] != wanted if len(table) else np.ones(len(wanted), bool)
        if missing.any():
            at = int(np.argmax(missing))
            rule = f"the context of every n-gram must be among the {j + 1}-grams"
            lines.fail(rule, _text(section, at, words), section.line + at)
    return rows


def _sorted(lines: Lines, section: Section, prefix: np.ndarray, words: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the n-grams in the order of a trie, int64 [N], and their keys in it, prefix * V + word, ascending."""
    keys = prefix * len(words) + section.ids[:, -1]
    at = np.argsort(keys, kind="stable")
    keys = keys[at]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        again = int(at[twice + 1].min())
        lines.fail("every n-gram must be there once", _text(section, again, words), section.line + again)
    return at, keys


def _text(section, at, words):
    """Returns an n-gram in words, for a message."""
    first, *rest = section.ids[at].tolist()
    return b" ".join([START if words[first] == END else words[first], *(words[i] for i in rest)])
