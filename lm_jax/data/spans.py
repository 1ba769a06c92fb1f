"""Spans marked by tags: which tag may follow which, where spans stand, and how many were found.

    BIO      B-x begins a span of kind x, I-x continues it, O is outside (Ramshaw & Marcus 1995; "IOB2")
    IOBES    E-x ends a span too, and S-x is a span of one word

Spans of a string of tags are those that conlleval counts (Tjong Kim Sang & Buchholz 2000), of illegal strings too: a
span begins at B and S, at every tag after O, E or S, and wherever the kind changes. F1 is of spans that are right in
both ends and in kind, over all sentences.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lm_jax.errors import UserError


PREFIXES = {"BIO": "BI", "IOBES": "BIES"}
_ELSEWHERE = ("L", "M", "U", "W")  # prefixes of schemes that are not known here: BILOU, BMES, BMEWO
_STRAY = 50  # words of spans for each word of a tag outside the scheme, from which on it is taken for a mistake
# after which prefixes another may follow; "^" is the beginning of a sentence, "$" its end
_LEGAL = {
    "BIO": {"^": "BO", "B": "BIO$", "I": "BIO$", "O": "BO$"},
    "IOBES": {"^": "BSO", "B": "IE", "I": "IE", "E": "BSO$", "S": "BSO$", "O": "BSO$"},
}


class Span(NamedTuple):
    """Words start to end - 1 of a sentence, of one kind."""

    kind: str
    start: int
    end: int


class LegalTransitions(NamedTuple):
    """Which tags may begin a sentence, bool [C]; follow each other, [C, C] (from, to); and end one, [C]."""

    start: np.ndarray
    between: np.ndarray
    end: np.ndarray


class SpanScore(NamedTuple):
    """Counts of spans, and of them precision, recall and F1 (0 where nothing is divided)."""

    correct: int
    predicted: int
    true: int

    @property
    def precision(self) -> float:
        """The share of the predicted spans that are right."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of the true spans that were found."""
        return self.correct / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.correct / (self.predicted + self.true) if self.correct else 0.0


def scheme_of(tags: Iterable[str]) -> str | None:
    """Returns "BIO" or "IOBES", the scheme whose tags these all are; None for tags that mark no spans."""
    prefixes = {prefix if kind or tag == "O" else "?" for tag in tags for prefix, kind in [_parts(tag)]} - {"O"}
    if not prefixes:
        return None
    return next((scheme for scheme, known in PREFIXES.items() if prefixes <= set(known)), None)


def stray_tags(counts: Mapping[str, int]) -> tuple[str, list[str]] | None:
    """Returns the scheme that nearly all tags are of, and the tags outside it; None where all fit, or many do not.

    Of 51 words that are not O one may be outside. Tags such as L-x and M-x are of another scheme, and no mistake.

    Args:
        counts: How many words have each tag.
    """
    outside = [tag for tag in counts if scheme_of([tag]) is None and tag != "O"]
    scheme = scheme_of(counts.keys() - outside)
    if not outside or scheme is None or any(kind and prefix in _ELSEWHERE for prefix, kind in map(_parts, outside)):
        return None
    stray = sum(counts[tag] for tag in outside)
    marked = sum(counts.values()) - counts.get("O", 0) - stray
    return (scheme, outside) if stray * _STRAY <= marked else None


def is_legal(scheme: str, previous: str | None, tag: str | None) -> bool:
    """Says whether a tag may follow another.

    Args:
        scheme: "BIO" or "IOBES".
        previous: The tag before; None at the beginning of a sentence.
        tag: The tag after it; None at the end of a sentence.
    """
    (before, kind_before), (after, kind) = _parts(previous or "^"), _parts(tag or "$")
    if after not in _LEGAL[scheme][before]:
        return False
    return after not in "IE" or kind == kind_before


def legal_transitions(tags: Sequence[str]) -> LegalTransitions | None:
    """Returns which transitions between tags are legal; None for tags that mark no spans.

    Raises UserError for tags of which none can stand in a sentence of one word: not every length had a legal string.
    """
    scheme = scheme_of(tags)
    if scheme is None:
        return None
    legal = LegalTransitions(
        np.array([is_legal(scheme, None, tag) for tag in tags]),
        np.array([[is_legal(scheme, one, other) for other in tags] for one in tags]),
        np.array([is_legal(scheme, tag, None) for tag in tags]),
    )
    if not any(legal.start & legal.end):
        raise UserError(f"{scheme} tags need one that can stand alone, such as O, got {', '.join(tags)}")
    return legal


def illegal_step(scheme: str, tags: Sequence[str]) -> int | None:
    """Returns the first place where a tag sequence breaks the scheme, len(tags) for its end; None for a legal one."""
    if not tags:
        return None
    around = [None, *tags, None]
    return next((i for i in range(len(tags) + 1) if not is_legal(scheme, around[i], around[i + 1])), None)


def spans(tags: Sequence[str]) -> list[Span]:
    """Returns the spans that conlleval reads in a tag sequence, legal or not."""
    found, start, before, kind_before = [], 0, "O", ""
    for i, tag in enumerate((*tags, "O")):
        prefix, kind = _parts(tag)
        changes = kind != kind_before or before in "ESO" or prefix in "BSO"
        if before != "O" and changes:
            found.append(Span(kind_before, start, i))
        if changes:
            start = i
        before, kind_before = prefix, kind
    return found


def span_score(true: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> SpanScore:
    """Counts the spans of sentences that are right, predicted and true."""
    correct = found = wanted = 0
    for true_tags, predicted_tags in zip(true, predicted, strict=True):
        true_spans, predicted_spans = set(spans(true_tags)), set(spans(predicted_tags))
        correct += len(true_spans & predicted_spans)
        found += len(predicted_spans)
        wanted += len(true_spans)
    return SpanScore(correct, found, wanted)


def _parts(tag):
    """B-PER is B and PER; a tag without a hyphen has no kind."""
    prefix, _, kind = tag.partition("-")
    return prefix, kind
