"""The map of a text in a picture, in a terminal and in words."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from lm_jax.report.heat_map import answer, heat_map, reach, reach_rows, shaded, table


PAST, PREDICTED = ("⏎", "$a$", "b"), ("$a$", "b", "c$d")
SHARES = np.array([[1, np.nan, np.nan], [0.02, 1, np.nan], [0.2, 0.003, 1]])
LOGS = np.log(SHARES)


def test_how_far_a_token_reaches_is_the_farthest_that_has_the_share():
    """Also where nearer ones have less."""
    assert reach(LOGS, 0.1) == [0, 0, 2] and reach(LOGS, 0.01) == [0, 1, 2] and reach(LOGS, 0.5) == [0, 0, 0]
    gone = np.where(np.eye(3, dtype=bool), np.nan, LOGS)
    gone[2] = np.nan
    assert reach(gone, 0.1)[2] is None


def test_the_answer_is_about_the_last_token():
    assert answer(LOGS[:2, :2], PAST[:2], PREDICTED[:2]) == (
        "More than 10 % of the gradient of the loss on the last token, 'b', reaches back to '$a$' (1 back), "
        "more than 1 % to '⏎' (2 back)."
    )
    assert "no gradient at all" in answer(np.full((3, 3), np.nan), PAST, PREDICTED)


def test_the_table_has_a_line_for_each_predicted_token():
    rows = reach_rows(LOGS, PAST, PREDICTED, np.array([1.0, 2.5, 0.25]))
    assert rows[1] == {
        "position": 2,
        "token": "b",
        "nats": 2.5,
        "back_10": 1,
        "token_10": "$a$",
        "back_1": 2,
        "token_1": "⏎",
    }
    titles, lines, *_ = table(rows)
    assert titles == ("predicted", "10 % reaches", "1 % reaches", "nats")
    assert lines[:2] == (("$a$", "⏎ (1 back)", "⏎ (1 back)", "1.00"), ("b", "$a$ (1 back)", "⏎ (2 back)", "2.50"))


def test_the_terminal_shades_each_cell():
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=40, highlight=False)
    console.print(shaded(LOGS, PREDICTED, 40), soft_wrap=True)
    plain = shaded(LOGS, PREDICTED, 40).plain.splitlines()
    assert plain[:3] == ["$a$ ██", "  b ▒▒██", "c$d ▓▓░░██"]
    assert "\x1b[" in console.file.getvalue()
    assert shaded(LOGS, PREDICTED, 9) is None  # too narrow


@pytest.mark.parametrize("count", [2, 100])
def test_the_picture_has_a_label_for_every_token_or_for_some(count):
    """A $ is no mathematics, and a gradient may grow."""
    lag = np.arange(count)[:, None] - np.arange(count)[None, :]
    logs = np.where(lag < 0, np.nan, np.where(lag % 7 == 3, -np.inf, -0.3 * lag + 4.0 * (lag == 1)))
    axes, bar = heat_map(logs, ["$a$"] * count, [f"$x_{k}$ " for k in range(count)]).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"$x_{k}$ " for k in range(0, count, 1 if count == 2 else 2)]
    assert axes.get_xlabel() == "past token" and "share" in bar.get_ylabel()
    image = axes.images[0]
    assert image.get_clim() == pytest.approx((-4, 3.7 / math.log(10)))
    colours = image.get_array()
    assert np.ma.is_masked(colours[0, 1]) and colours[1, 1] == 0
