"""Figures of studies: panels in reading order, words and names around them."""

import numpy as np
import pytest

from experiments.harness.figures import bars, draw_lines, draw_log_band, finish, headline, log_ticks, panels


def test_panels_are_in_reading_order():
    figure, grid = panels((4, 3), 2, 3, sharex=True)
    assert list(grid) == figure.axes and len(grid) == 6
    assert [axes.get_subplotspec().colspan.start for axes in grid] == [0, 1, 2, 0, 1, 2]


def test_axes_have_words_and_lines_have_names():
    _, (axes,) = panels((4, 3))
    ends = draw_lines(axes, {"one": ((1, 2), (3, 4), "red"), "two": ((1, 3), (5, 6), "blue")})
    assert ends == [(2, 4, "one", "red"), (3, 6, "two", "blue")]
    finish(axes, ends, "a title", xlabel="x", xlim=(0, 5))
    assert (axes.get_title(loc="left"), axes.get_xlabel(), axes.get_xlim()) == ("a title", "x", (0, 5))
    assert [text.get_text() for text in axes.texts] == ["one", "two"]


def test_a_band_of_logarithms_is_about_their_geometric_mean():
    _, (axes,) = panels((4, 3))
    mean = draw_log_band(axes, (1, 2), np.log([[1.0, 2.0], [4.0, 8.0]]), "red")
    assert mean == pytest.approx([2.0, 4.0]) and axes.get_lines()[0].get_ydata() == pytest.approx([2.0, 4.0])


def test_a_logarithmic_axis_has_the_ticks_given_alone():
    _, (axes,) = panels((4, 3))
    log_ticks(axes, (1, 5, 40))
    assert axes.get_xscale() == "log" and list(axes.get_xticks()) == [1, 5, 40] and not len(axes.get_xticks(minor=True))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "5", "40"]


def test_a_headline_has_as_many_lines_as_the_width_needs():
    figure, _ = panels((4, 3))
    headline(figure, "seven words that need more than a line")
    assert figure.get_suptitle() == "seven words that need more than a line"
    headline(figure, "twelve words of a finding that needs more than the one line there")
    assert figure.get_suptitle().count("\n") == 1


def test_bars_have_names_and_numbers():
    figure = bars({"one": 1.0, "two": 2.5}, "a finding", "times", line=1.0)
    [axes] = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [1.0, 2.5] and figure.get_suptitle() == "a finding"
    assert [text.get_text() for text in axes.texts] == ["1.00", "2.50"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
