"""Dates as people write them, checked by another reader of dates."""

import datetime
import re

import pytest

from lm_jax.data.dates import LONG, SHORT, SIZES, date_pairs, written_date


NAMES = [datetime.date(2000, month, 1).strftime("%B").lower() for month in range(1, 13)]


def read(text):
    """A date from its numbers and the name of its month, if it has one: another way than that of the program."""
    text = text.lower()
    month = next((number for number, name in enumerate(NAMES, 1) if re.search(rf"\b{name[:3]}", text)), None)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if month is None and "/" in text and text.index("/") < 4:
        month, day, year = numbers
    elif month is None and "/" in text:
        year, month, day = numbers
    elif month is None:
        day, month, year = numbers
    else:
        year = next((number for number in numbers if number > 31), numbers[-1])
        day = numbers[0] if numbers[0] != year or numbers[0] == numbers[-1] else numbers[-1]
    if year < 100:
        year += 1900 if year >= 50 else 2000
    return datetime.date(year, month, day)


def test_they_are_the_same_every_time_and_in_one_split_each():
    pairs = date_pairs()
    assert pairs == date_pairs() and {split: len(of) for split, of in pairs.items()} == SIZES
    texts = [written for of in pairs.values() for written, _ in of]
    assert len(set(texts)) == len(texts) == sum(SIZES.values())


def test_iso_is_the_date_that_is_written():
    for written, iso in date_pairs()["test"]:
        assert read(written).isoformat() == iso, written


@pytest.mark.parametrize(
    ("day", "expected"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (13, "13th"), (22, "22nd")]
)
def test_endings(day, expected):
    assert written_date(datetime.date(1999, 1, day), "{D} {M} '{s}") == f"{expected} January '99"


def test_days_of_the_week_are_right():
    assert written_date(datetime.date(2021, 5, 3), "{A}, the {D} of {M} {y}") == "Monday, the 3rd of May 2021"
    assert written_date(datetime.date(1999, 1, 4), "{a}, {d} {b} {s}") == "Mon, 4 Jan 99"
    assert all("y" in form for form in LONG) and all("{s}" in form for form in SHORT)
