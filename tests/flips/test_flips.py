"""Whatever bit of a run's files flips: no other answer in silence and no traceback, loaded or resumed."""

import pytest

from tests.flips.questions import REFUSED, SAME, TOLD, ask, draw_flips, make_run


@pytest.mark.slow
def test_five_hundred_flipped_bits_are_noticed_or_harmless(tmp_path):
    run = make_run(tmp_path)
    ends, faults = ask(run, draw_flips(run, 500, seed=1), tmp_path)
    assert not faults
    for question in ("load", "resume"):  # each end is reached, so the flips reach what is checked
        assert min(ends[question, end] for end in (SAME, TOLD, REFUSED)) >= 5, ends
    assert ends["results", REFUSED] >= 1
