"""Spans as conlleval reads them, of legal and of illegal strings; which tags may follow which; F1."""

import itertools
import math

import pytest

from lm_jax.data.spans import (
    SpanScore,
    illegal_step,
    is_legal,
    legal_transitions,
    scheme_of,
    span_score,
    spans,
    stray_tags,
)
from lm_jax.errors import UserError


# tags: the spans (kind, start, end) by the rules of conlleval for where a chunk starts and ends
GOLDEN = {
    "": [],
    "O O": [],
    "B-x I-x O B-y": [("x", 0, 2), ("y", 3, 4)],
    "B-x B-x": [("x", 0, 1), ("x", 1, 2)],
    "S-x S-x O S-y": [("x", 0, 1), ("x", 1, 2), ("y", 3, 4)],
    "B-x I-x E-x B-x E-x": [("x", 0, 3), ("x", 3, 5)],
    "B-x E-x S-x": [("x", 0, 2), ("x", 2, 3)],
    # illegal: a span may begin with I or E after O, and goes on only with its own kind
    "I-x I-x O I-x": [("x", 0, 2), ("x", 3, 4)],
    "O E-x O": [("x", 1, 2)],
    "B-x I-y I-y": [("x", 0, 1), ("y", 1, 3)],
    "I-x I-y": [("x", 0, 1), ("y", 1, 2)],
    "I-x B-x I-x": [("x", 0, 1), ("x", 1, 3)],
    "B-x E-x I-x": [("x", 0, 2), ("x", 2, 3)],
    "E-x E-x": [("x", 0, 1), ("x", 1, 2)],
    "S-x I-x": [("x", 0, 1), ("x", 1, 2)],
    "S-x E-x": [("x", 0, 1), ("x", 1, 2)],
    "B-x S-x": [("x", 0, 1), ("x", 1, 2)],
    "B-x O E-x": [("x", 0, 1), ("x", 2, 3)],
    "B-x-y I-x-y": [("x-y", 0, 2)],
}


@pytest.mark.parametrize(("tags", "expected"), GOLDEN.items(), ids=[tags or "empty" for tags in GOLDEN])
def test_spans_are_those_of_conlleval(tags, expected):
    assert spans(tags.split()) == expected


def starts(before, kind_before, now, kind):
    """conlleval's startOfChunk, in the form that knows E and S."""
    pairs = {("E", "E"), ("E", "I"), ("S", "E"), ("S", "I"), ("O", "E"), ("O", "I")}
    return now in ("B", "S") or (before, now) in pairs or (now != "O" and kind_before != kind)


def ends(before, kind_before, now, kind):
    """conlleval's endOfChunk, in the form that knows E and S."""
    pairs = {("B", "B"), ("B", "S"), ("B", "O"), ("I", "B"), ("I", "S"), ("I", "O")}
    return before in ("E", "S") or (before, now) in pairs or (before != "O" and kind_before != kind)


def test_every_string_of_four_tags_is_read_as_by_the_rules_of_conlleval():
    tags = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in "xy")]
    for string in itertools.product(tags, repeat=4):
        expected, start, before = [], 0, ("O", "")
        for i, tag in enumerate((*string, "O")):
            now = (tag[0], tag[2:])
            if ends(*before, *now):
                expected.append((before[1], start, i))
            if starts(*before, *now):
                start = i
            before = now
        assert spans(string) == expected


def test_legal_strings_are_those_that_spans_can_write():
    """All ways to lay spans of two kinds into four words, written out in each scheme, and nothing else."""

    def layings(words):
        if words == 0:
            yield ()
        else:
            yield from ((("O", 1), *rest) for rest in layings(words - 1))
            for size, kind in itertools.product(range(1, words + 1), "xy"):
                yield from (((kind, size), *rest) for rest in layings(words - size))

    def write(kind, size, scheme):
        if kind == "O":
            return ["O"]
        if scheme == "BIO":
            return [f"B-{kind}", *[f"I-{kind}"] * (size - 1)]
        return [f"S-{kind}"] if size == 1 else [f"B-{kind}", *[f"I-{kind}"] * (size - 2), f"E-{kind}"]

    for scheme, prefixes in (("BIO", "BI"), ("IOBES", "BIES")):
        written = {tuple(t for span in laying for t in write(*span, scheme)) for laying in layings(4)}
        tags = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in "xy")]
        assert {s for s in itertools.product(tags, repeat=4) if illegal_step(scheme, s) is None} == written
        legal = legal_transitions(tags)
        assert legal is not None and legal.between.shape == (len(tags), len(tags))
        for (i, one), (j, other) in itertools.product(enumerate(tags), enumerate(tags)):
            assert legal.between[i, j] == is_legal(scheme, one, other)


def test_the_place_of_the_first_fault():
    assert illegal_step("BIO", ["O", "I-x"]) == 1
    assert illegal_step("BIO", ["B-x", "I-y"]) == 1
    assert illegal_step("IOBES", ["B-x", "I-x"]) == 2  # the end of the sentence
    assert illegal_step("IOBES", ["S-x", "B-x", "E-x"]) is None
    assert illegal_step("BIO", []) is None


def test_the_scheme_is_seen_in_the_tags():
    assert scheme_of(["O", "B-x", "I-x"]) == "BIO"
    assert scheme_of(["O", "B-x", "I-x", "E-x", "S-y"]) == "IOBES"
    for tags in (["NOUN", "O"], ["O"], [], ["B", "I", "O"], ["B-x", "L-x"], ["BI-x"], ["O-x"]):
        assert scheme_of(tags) is None and legal_transitions(tags) is None
    with pytest.raises(UserError, match="need one that can stand alone, such as O, got B-x, E-x"):
        legal_transitions(["B-x", "E-x"])


STRAYS = {  # counts of tags, and those outside a scheme that nearly all are of
    "one of 51": ({"O": 900, "B-x": 30, "I-x": 20, "B_p": 1}, ("BIO", ["B_p"])),
    "one of 50": ({"O": 900, "B-x": 29, "I-x": 20, "B_p": 1}, None),
    "two kinds": ({"S-x": 60, "B-x": 20, "E-x": 20, "b-x": 1, "B": 1}, ("IOBES", ["b-x", "B"])),
    "none": ({"O": 900, "B-x": 30, "I-x": 20}, None),
    "IOBES": ({"B-x": 90, "E-x": 90, "I-x": 1, "S-x": 1}, None),
    "BILOU": ({"B-x": 90, "I-x": 20, "L-x": 1, "U-x": 1}, None),
    "BMES": ({"B-x": 90, "E-x": 90, "M-x": 1}, None),
    "words": ({"NOUN": 500, "VERB": 400, "X": 1}, None),
    "O alone": ({"O": 500, "B_p": 1}, None),
    "mostly words": ({"NOUN": 500, "B-x": 5, "I-x": 5}, None),
}


@pytest.mark.parametrize("name", STRAYS)
def test_tags_outside_the_scheme_of_nearly_all_others(name):
    counts, expected = STRAYS[name]
    assert stray_tags(counts) == expected


def test_f1_counts_spans_that_are_right_in_both_ends_and_kind():
    true = ["B-x I-x O B-y".split(), "O B-x".split(), []]
    predicted = ["B-x I-x O B-x".split(), "I-x I-x".split(), []]
    score = span_score(true, predicted)
    assert score == SpanScore(correct=1, predicted=3, true=3)
    assert math.isclose(score.precision, 1 / 3) and math.isclose(score.recall, 1 / 3)
    assert math.isclose(score.f1, 1 / 3)
    assert math.isclose(SpanScore(2, 3, 5).f1, 2 * (2 / 3) * (2 / 5) / (2 / 3 + 2 / 5))
    for nothing in (SpanScore(0, 0, 0), SpanScore(0, 3, 0), SpanScore(0, 0, 3)):
        assert nothing.f1 == nothing.precision == nothing.recall == 0.0
