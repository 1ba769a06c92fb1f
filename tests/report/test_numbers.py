"""Numbers and times as people read them."""

import pytest

from lm_jax.report.numbers import cell, clock, short


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("gru", "gru"),
        (True, "True"),
        (2024, "2024"),
        (13665278, "13,665,278"),
        (-12345, "-12,345"),
        (0.000123456, "0.0001235"),
        (9999.9, "10,000"),
        (12345.678, "12,350"),
        (1.36e6, "1,360,000"),
        (4.2e9, "4.2e+09"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_cell(value, text):
    assert cell(value) == text
