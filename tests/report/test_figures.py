"""The loss curve and the picture of telemetry."""

import pytest

from lm_jax.report.answer_figure import AnswerWords, answer_finding, draw_answers
from lm_jax.report.figures import draw_loss_curve, loss_finding
from lm_jax.report.telemetry_figure import draw_telemetry, telemetry_finding


RECORDS = [
    {"step": 5, "loss": 2.0},
    {"step": 8, "valid_loss": 1.9, "best": True},
    {"step": 10, "loss": 1.5},
    {"step": 10, "valid_loss": 1.7, "best": True, "closing": True},
]
TELEMETRY = {"max_lag": 63, "log_median": {"1": -0.5}, "horizon_10": 7, "horizon_1": None, "lyapunov": [-0.0504, None]}


@pytest.mark.parametrize("records", [RECORDS, RECORDS[:1], RECORDS[1:2], []], ids=["all", "train", "valid", "none"])
def test_the_loss_curve_is_a_picture(tmp_path, records):
    draw_loss_curve(records, tmp_path / "loss.png", "loss (nats)")
    picture = (tmp_path / "loss.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n") and picture.rstrip().endswith(b"IEND\xaeB`\x82")
    assert len(picture) > 5_000


def test_the_curves_are_in_the_picture(tmp_path):
    for number, records in enumerate((RECORDS, RECORDS[:3], [])):
        draw_loss_curve(records, tmp_path / f"{number}.png", "loss (nats)")
    assert len({(tmp_path / f"{number}.png").read_bytes() for number in range(3)}) == 3


def test_the_title_tells_the_finding_beside_other_models(tmp_path):
    valid = [(8, 1.9), (10, 1.7), (12, float("nan"))]
    assert (
        loss_finding([], {"5-gram": 1.8}) == "" and loss_finding(valid, {}) == "Best validation loss 1.700, at step 10"
    )
    beaten = {"unigram": 3.0, "5-gram": 1.8}
    assert loss_finding(valid, beaten) == "Best validation loss 1.700, at step 10: below the 5-gram's 1.800"
    assert loss_finding(valid, {"5-gram": 1.7}).endswith("not below the 5-gram's 1.700")
    for name, references in (("alone", {}), ("beside", beaten), ("infinite", {"unsmoothed": float("inf")})):
        draw_loss_curve(RECORDS, tmp_path / f"{name}.png", "loss (nats)", references)
    alone, beside, infinite = ((tmp_path / f"{n}.png").read_bytes() for n in ("alone", "beside", "infinite"))
    assert alone != beside and alone == infinite


def test_telemetry_is_a_picture_and_nothing_is_none(tmp_path):
    draw_telemetry(RECORDS, tmp_path / "none.png", "char")
    broken = {"step": 4, "telemetry": {**TELEMETRY, "log_median": {}, "horizon_10": None}}
    draw_telemetry([*RECORDS, broken], tmp_path / "none.png", "char")
    assert not (tmp_path / "none.png").exists()
    reached = {"step": 8, "telemetry": {**TELEMETRY, "horizon_1": 30}}
    for name, records in (("some", [reached]), ("more", [reached, {"step": 9, "telemetry": TELEMETRY}, broken])):
        draw_telemetry(records, tmp_path / f"{name}.png", "char")
    some, more = ((tmp_path / f"{name}.png").read_bytes() for name in ("some", "more"))
    assert some.startswith(b"\x89PNG") and some != more


def test_telemetry_is_said_in_a_title():
    assert (
        telemetry_finding(1200, TELEMETRY)
        == "At step 1,200 a gradient is below 10 % from lag 7 on, below 1 % from over 63"
    )


ANSWERS = {"max_distance": 13, "log_median": {"0": -1.0, "2-4": -3.0, "10-13": None}, "horizon_10": 2}


def test_gradients_of_answers_are_a_picture_and_nothing_is_none(tmp_path):
    words = AnswerWords("label", "word", "words from the end of the text")
    nothing = {"step": 3, "telemetry": {**ANSWERS, "log_median": {"0": None, "1": None}}}
    broken = {"step": 4, "telemetry": {**ANSWERS, "log_median": {}}}
    for records in (RECORDS, [*RECORDS, broken], [nothing]):
        draw_answers(records, tmp_path / "none.png", words)
    assert not (tmp_path / "none.png").exists()
    first, second = ({"step": step, "telemetry": ANSWERS} for step in (8, 9))
    for name, records in (("some", [first]), ("more", [first, second, broken])):
        draw_answers(records, tmp_path / f"{name}.png", words)
    some, more = ((tmp_path / f"{name}.png").read_bytes() for name in ("some", "more"))
    assert some.startswith(b"\x89PNG") and some != more


def test_gradients_of_answers_are_said_in_a_title():
    said = answer_finding(1200, {"0": -1.0, "1": -2.0, "10-13": -4.0})
    assert said == "At step 1,200 the gradient at distance 10–13 is 5 % of that at 0"
    assert answer_finding(3, ANSWERS["log_median"]).endswith("at distance 10–13 is under 0.01 % of that at 0")
    assert answer_finding(3, {"0": -1.0, "1": 0.0}).endswith("at distance 1 is 272 % of that at 0")
    assert answer_finding(3, {"0": None, "1": -2.0}) == "At step 3 the gradient at distance 0 is zero"
