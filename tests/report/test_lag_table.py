"""Lag profiles in words, in a table, as rows, and as a picture."""

import math

import numpy as np
import pytest

from lm_jax.analysis import GradientFlow, lag_profile
from lm_jax.report.lag_figure import lag_figure
from lm_jax.report.lag_table import answer, lag_rows, summaries, table


STEPS = 30


def profile(factor, leaf="h", texts=2, growth=0.0):
    """Of a gradient that falls by the same factor with every step."""
    lag = np.arange(STEPS)[:, None] - np.arange(STEPS)[None, :]
    log_factor = math.log(factor) if factor else -math.inf
    norms = np.where(lag > 0, np.maximum(lag, 1) * log_factor + growth, -np.inf)
    flow = GradientFlow(np.zeros((texts, STEPS)), ({leaf: np.broadcast_to(norms, (texts, STEPS, STEPS))},), STEPS - 1)
    return lag_profile(flow, leaf=leaf)


ANSWERS = {
    0.5: "A gradient falls below 10 % of its size at the output after 4 characters, below 1 % after 7.",
    0.09: "A gradient falls below 10 % of its size at the output after 1 character, below 1 % after 2.",
    0.9: "A gradient falls below 10 % of its size at the output after 22 characters, and stays above 1 % over all 29 "
    "characters back that were measured.",
    0.999: "A gradient stays above 10 % of its size at the output over all 29 characters back that were measured.",
}


@pytest.mark.parametrize(("factor", "sentence"), ANSWERS.items(), ids=str)
def test_the_answer(factor, sentence):
    assert answer(profile(factor), "char") == sentence


def test_words_are_counted_in_words():
    assert "after 4 words, below" in answer(profile(0.5), "word")


def test_the_table_says_what_was_not_reached():
    titles, lines, *_ = table([{"h": profile(0.5), "all": profile(0.5, "all")}, {"h": profile(0.999)}])
    assert lines[0] == ("0", "h", "2", "4", "7", "4", "0.500", "-", "58 to 2")
    assert lines[2][:5] == ("1", "h", ">29", ">29", ">29")
    assert (titles[1], lines[1][1]) == ("leaf", "all") and {len(titles)} == set(map(len, lines))


def test_rows_and_summaries_are_the_numbers_of_the_profile():
    leaves = {"h": profile(0.5, growth=0.1), "all": profile(0.5, "all", texts=1)}
    rows = lag_rows([leaves])
    assert len(rows) == 2 * (STEPS - 1)
    row = rows[2]
    assert (row["layer"], row["leaf"], row["lag"], row["values"]) == (0, "h", 3, 2 * (STEPS - 3))
    expected = math.exp(0.1) / 8
    for name in ("median", "band_low", "band_high", "quantile_0.25", "quantile_0.75", "mean"):
        assert row[name] == pytest.approx(expected, rel=1e-9)
    assert row["log_median"] == pytest.approx(math.log(expected)) and "band_low" not in rows[-1]
    first, second = summaries([leaves])
    assert first["below_0.1"] == 4 and first["factor_1_20"] == pytest.approx(0.5) and first["factor_20_60"] is None
    assert (second["layer"], second["leaf"], second["half_life"]) == (0, "all", 3)


@pytest.mark.parametrize("factor", [1e-5, 0.5, 1.3, 0.0], ids=str)
def test_the_picture_ends_where_nothing_is_left(factor, tmp_path):
    """Of gradients that vanish at once, fall, grow, and are nothing from the start on."""
    figure = lag_figure({"h": profile(factor), "c": profile(0.3, "c")}, "char")
    (axes,) = figure.axes
    lags = {1e-5: 23, 0.5: 29, 1.3: 29, 0.0: 23}  # 0.3^22 is the last above 1e-12, and c is 1 at lag 1
    assert axes.get_xlim() == (0, lags[factor])
    assert axes.get_yscale() == "log" and axes.get_xlabel() == "lag (characters)"
    bottom, top = axes.get_ylim()
    assert 1e-16 < bottom < 0.01 and top >= (1.3**29 if factor == 1.3 else 1)
    labels = {text.get_text() for text in axes.texts}
    assert {"10 %", "1 %", "c"} <= labels and ("h" in labels) == (factor > 0)
    figure.savefig(tmp_path / "lags.png")
