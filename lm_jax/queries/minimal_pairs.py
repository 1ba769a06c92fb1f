"""Minimal pairs under a run: how often the good sentence is more probable than the bad one."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lm_jax.data.sources import read_text
from lm_jax.errors import UserError
from lm_jax.inference.minimal_pairs import Accuracy, accuracy, judge_pairs
from lm_jax.queries.loaded_run import RunLike, UserCell, as_language_model
from lm_jax.report.html import fragment, table_html
from lm_jax.report.rows import plain_lines
from lm_jax.report.table import Table
from lm_jax.short_repr import shortly_shown
from lm_jax.strict_json import from_json


FIELDS = ("sentence_good", "sentence_bad")
ALL = "all"  # the group of all pairs


@shortly_shown
class Pair(NamedTuple):
    """Two sentences, each one line without its end, and the group that the pair is counted in."""

    good: str
    bad: str
    group: str | None = None


@shortly_shown
class Judgement(NamedTuple):
    """A pair and log P(good) - log P(bad) in nats: above 0 is right, 0 a tie."""

    good: str
    bad: str
    group: str | None
    difference: float


class MinimalPairs(NamedTuple):
    """Minimal pairs under a model.

    unk_rate: the share of tokens that are <unk>. groups: accuracy by group, "all" first. judgements: pair by pair.
    """

    unk_rate: float
    groups: dict[str, Accuracy]
    judgements: tuple[Judgement, ...]

    def __repr__(self) -> str:
        return "\n".join([f"MinimalPairs of {len(self.judgements):,} pairs", *plain_lines(self.table())])

    def _repr_html_(self) -> str:
        return fragment(f"{len(self.judgements):,} minimal pairs", table_html(self.table()))

    def table(self) -> Table:
        """Returns a row for each group: how often the good sentence wins."""
        rows = [
            (name, f"{one.pairs:,}", f"{one.accuracy:.1%}", f"{one.low:.1%} to {one.high:.1%}")
            for name, one in self.groups.items()
        ]
        return Table(("group", "pairs", "accuracy", "95 % interval"), tuple(rows))


def minimal_pairs(
    run: RunLike,
    pairs: str | Path | Sequence[Pair | tuple[str, str] | tuple[str, str, str]],
    group: str | None = None,
    cell: UserCell | None = None,
) -> MinimalPairs:
    """Judges minimal pairs: is the good sentence, scored as a line by itself, more probable than the bad one?

    Args:
        run: The folder of a run, or a run that is loaded.
        pairs: (good, bad) or `Pair` each, or a file of JSON lines with sentence_good and sentence_bad.
        group: The field of the file's lines that names the group of a pair, such as linguistics_term.
        cell: The user's own cell that the run was trained with.

    Returns:
        Accuracies with 95 % intervals, a tie counted as half, of all pairs and of each group; and every judgement.

    Raises:
        UserError: For no run, a file that is not whole, no pairs, and sentences that the vocabulary cannot encode.
    """
    if isinstance(pairs, str | Path):
        placed = _read_placed(Path(pairs).expanduser(), group)
        places, pairs = [place for place, _ in placed], [pair for _, pair in placed]
    else:
        places = [f"pair {number}" for number in range(1, len(pairs) + 1)]
    pairs = [pair if isinstance(pair, Pair) else Pair(*pair) for pair in pairs]
    _check(pairs)
    run = as_language_model(run, cell)
    good, bad = (
        _encode(run.vocabulary, sentences, places) for sentences in ([p.good for p in pairs], [p.bad for p in pairs])
    )
    differences = judge_pairs(run.model, run.params, good, bad, run.vocabulary.eol_id)
    if np.isnan(differences).any():
        raise UserError(f"log-probabilities must be numbers, got nan from {run.run}")
    groups = {ALL: accuracy(differences)}
    for label in sorted({pair.group for pair in pairs if pair.group is not None}):
        groups[label] = accuracy(differences[[pair.group == label for pair in pairs]])
    unknown = sum(int((sentence == run.vocabulary.unk_id).sum()) for sentence in (*good, *bad))
    judgements = tuple(Judgement(*pair, float(d)) for pair, d in zip(pairs, differences, strict=True))
    return MinimalPairs(unknown / sum(map(len, (*good, *bad))), groups, judgements)


def read_pairs(path: Path, group: str | None = None) -> list[Pair]:
    """Reads a file of JSON lines with sentence_good and sentence_bad, and a field that names the group of each pair.

    Raises UserError with the line's number for a line that is not whole.
    """
    return [pair for _, pair in _read_placed(Path(path).expanduser(), group)]


def _read_placed(path, group):
    """Pairs with the place of each."""
    if not path.exists() or path.is_dir():
        raise UserError(f"minimal-pairs needs an existing file of JSON lines, got {path}")
    lines = enumerate(str(read_text(path, "char")).split("\n"), 1)  # a blank one is no record
    placed = [(f"line {number} of {path}", line) for number, line in lines if line.strip()]
    return [(place, _read_pair(line, place, group)) for place, line in placed]


def _read_pair(line, place, group):
    try:
        record = from_json(line)
    except ValueError as error:
        reason = getattr(error, "msg", error)
        raise UserError(f"every line must be JSON, got {place}: {reason}") from error
    for name in (*FIELDS, *([group] if group else [])):
        if not isinstance(record, dict) or name not in record:
            raise UserError(f"every line needs the field {name}, got {place} without it")
    for name in FIELDS:
        if not _is_a_line(record[name]):
            raise UserError(f"{name} must be one line of text, got {record[name]!r} in {place}")
    good, bad = (record[name] for name in FIELDS)
    return Pair(good, bad, str(record[group]) if group else None)


def _check(pairs):
    if not pairs:
        raise UserError("minimal pairs are at least one, got none")
    for number, pair in enumerate(pairs, 1):
        for sentence in (pair.good, pair.bad):
            if not _is_a_line(sentence):
                raise UserError(f"a sentence must be one line of text, got {sentence!r} in pair {number}")


def _is_a_line(sentence) -> bool:
    return isinstance(sentence, str) and bool(sentence.strip()) and "\n" not in sentence


def _encode(vocabulary, sentences, places):
    """Returns the ids of each sentence with its end, encoded at once; an error names the place of the sentence."""
    try:
        tokens = vocabulary.encode("".join(sentence + "\n" for sentence in sentences))
    except UserError:
        for sentence, place in zip(sentences, places, strict=True):
            try:
                vocabulary.encode(sentence + "\n")
            except UserError as error:
                raise UserError(str(error).replace("in line 1", f"in {place}")) from error
        raise
    ends = np.flatnonzero(tokens == vocabulary.eol_id) + 1
    return np.split(tokens, ends[:-1])
