"""Means over seeds of any numbers: infinite perplexities, and ones whose sum is beyond a float."""

import math

import pytest

from lm_jax.report.comparison_figure import figure
from lm_jax.report.comparison_row import ComparisonRow
from lm_jax.report.figures import draw_loss_curve
from lm_jax.report.picture_file import save_figure
from lm_jax.runs.means import mean_and_error, mean_of
from lm_jax.strict_json import to_json


ODD = [[math.inf, -math.inf], [1e308, -1e308], [math.nan, 1.0], [1.0, 1e299]]


@pytest.mark.parametrize(
    ("values", "mean", "error"),
    [
        ([1.0, 2.0, 6.0], 3.0, math.sqrt(7 / 3)),
        ([math.inf, 1.0], math.inf, math.nan),
        ([math.inf, math.inf], math.inf, math.nan),
        ([math.nan, 1.0], math.nan, math.nan),
        ([1e308, 1e308, 1e308], math.inf, 0.0),
    ],
)
def test_means_and_errors(values, mean, error):
    found = mean_and_error(values)
    assert found["mean"] == pytest.approx(mean, nan_ok=True) and found["error"] == pytest.approx(error, nan_ok=True)
    assert mean_of(values) == pytest.approx(mean, nan_ok=True)
    assert "Infinity" not in to_json(found) and "NaN" not in to_json(found)


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
@pytest.mark.parametrize("values", ODD)
def test_odd_numbers_are_drawn(tmp_path, values):
    draw_loss_curve([{"step": step, "loss": value} for step, value in enumerate(values)], tmp_path / "a.png", "nats")
    names = ("perplexity", "perplexity_low", "perplexity_high")
    blank = dict.fromkeys(ComparisonRow._fields)
    rows = [
        ComparisonRow(**{**blank, "name": "$a_", "family": "lstm", "split": "test", **dict.fromkeys(names, abs(value))})
        for value in values
    ]
    save_figure(figure(rows), tmp_path / "b.png")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("a.png", "b.png"))
