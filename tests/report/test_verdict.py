"""The mark of an expectation out of its parts."""

import pytest

from lm_jax.report.verdict import overall


@pytest.mark.parametrize(
    ("parts", "mark"),
    [
        ([True, True], "confirmed"),
        ([False, False], "not confirmed"),
        ([True, False], "partly"),
        ([True, None], "partly"),  # what was not measured is not confirmed
        ([False, None], "not confirmed"),
        ([None], "not measured"),
        ([], "not measured"),
    ],
)
def test_the_mark(parts, mark):
    assert overall(parts) == mark
