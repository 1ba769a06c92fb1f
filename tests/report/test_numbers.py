"""Numbers and times as people read them."""

import pytest

from lm_jax.report.numbers import clock, short


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (41.6, "0:42"), (59.6, "1:00"), (3599, "59:59"), (3723, "1:02:03"), (360000, "100:00:00")],
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.23456, "1.235"),
        (9.9994, "9.999"),
        (12.345, "12.35"),
        (12345.678, "12,345.68"),
        (123456.7, "1.23e+05"),
        (float("inf"), "inf"),
    ],
)
def test_short(number, text):
    assert short(number) == text
