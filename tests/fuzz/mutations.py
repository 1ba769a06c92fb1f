"""Seeded damage of files: bytes anywhere, and of JSON any value."""

import json
import random
from typing import Any


PIECES = [
    *(b"9" * 5000, b"[" * 3000, b"{", b"]", b"null", b"-1", b"1e999", b"NaN", b"Infinity", b"true", b'""', b"0" * 40),
    *(b"\xff", b"\x00", b"\xc2\xa0", b"\xe2\x80\xa8", b"\xc2\x85", b"\xed\xa0\x80", b"\n", b"\t", b" ", b"\r", b"\\"),
    *(b"<s>", b"</s>", b"<unk>", b"<UNK>", b"\\end\\", b"ngram 1=", b"\\1-grams:", b"4294967296", b"-0", b"1" * 20),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "\0"),
    *("\ud800", "a b", "a\xa0b", "</s>", "<unk>", "\n", [], {}, [[]], [None], ["a", "a"], {"kind": "x"}, {"": None}),
    *("9" * 5000, "~", "../..", "/dev/zero", "lstm", "word", "byte", [1, 2], {"kind": None}, {"kind": []}),
]


def damaged(content: bytes, random: random.Random) -> bytes:
    """Returns a content with one to four mutations: a bit flipped, a stretch lost, doubled or moved, a piece put in."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        start, length = random.randrange(len(content) + 1), random.choice((1, 2, 8, 64))
        head, part, tail = content[:start], content[start : start + length], content[start + length :]
        flipped = bytes(byte ^ (1 << random.randrange(8)) for byte in part[:1]) + part[1:]
        piece = random.choice(PIECES)
        middle = random.choice((flipped, b"", part * random.randint(2, 4), piece + part, piece))
        content = random.choice((head + middle + tail,) * 5 + (head, tail + part + head))
    return content


def odd_value(record: Any, random: random.Random) -> Any:
    """Returns a JSON value with one value in it changed, removed, or put under another name."""
    record = json.loads(json.dumps(record))
    places = [(None, None), *_places(record)]
    parent, name = random.choice(places)
    if parent is None:
        return random.choice(VALUES)
    if random.random() < 0.2:
        del parent[name]
    elif isinstance(parent, dict) and random.random() < 0.2:
        parent[random.choice(("x", "kind", "data", "model", "cell", name.upper()))] = parent.pop(name)
    else:
        parent[name] = random.choice(VALUES)
    return record


def _places(value):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in list(items):
        yield value, name
        yield from _places(child)
