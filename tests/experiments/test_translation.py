"""Scores by width of the beam in the study of translation: measured, and added to a recorded run that lacks them."""

import argparse
import json

import pytest

from experiments.tasks import translation
from experiments.tasks.translation import WIDTHS, measure, with_widths


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A run of the smoke test, as its record has it, and its arguments."""
    runs = tmp_path_factory.mktemp("runs")
    given = argparse.Namespace(smoke=True, data=None, direction="de-en", runs=runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translation, "MEASURED", 20)
        return json.loads(json.dumps(measure("attention", 0, given))), given


def without_widths(result):
    return {name: value for name, value in result.items() if name != "widths"}


def test_a_run_is_measured_by_width(smoke):
    found = smoke[0]["widths"]
    assert found["sentences"] == 20 and found["length penalty"] == 1.0
    assert [one["beam"] for one in found["beams"]] == list(WIDTHS)
    assert found["beams"][0]["fell"] is None and all(0 <= one["fell"] <= 1 for one in found["beams"][1:])
    assert all(one["score"] < 0 for one in found["beams"])


def test_what_a_recorded_run_lacks_is_added_without_training(smoke, monkeypatch):
    result, given = smoke
    monkeypatch.setattr(translation, "MEASURED", 20)
    monkeypatch.setattr("experiments.harness.runs._train", lambda *_: pytest.fail("trained"))
    assert with_widths(without_widths(result), "attention", given) == result


def test_a_run_that_is_not_found_stays_as_it_is_recorded(smoke, tmp_path):
    result, given = smoke
    lacking = without_widths(result)
    elsewhere = argparse.Namespace(**vars(given) | {"runs": tmp_path})
    assert with_widths(lacking, "attention", elsewhere) == lacking
    other = lacking | {"seconds": lacking["seconds"] + 1}  # the folder holds another run
    assert with_widths(other, "attention", given) == other
    assert with_widths(result, "attention", elsewhere) == result
