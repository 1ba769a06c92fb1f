"""Texts of the user's in pictures and commands: shown and copied as they are, whatever they mean to a library."""

import shlex
import warnings
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lm_jax.report.commands import shell_path
from lm_jax.report.labels import plain_label
from lm_jax.report.picture_file import save_figure
from lm_jax.report.word_weights import draw_words


WORDS = ["$x^2$", "$", "$\\frac$", "_a_b", "[bold]", ":smile:", "\x1b[31m", "日本", "\U0001f600", "\u2028", "\\$"]


def drawn(text):
    """The pixels of a text as a label."""
    figure = Figure(figsize=(2, 0.5))
    figure.text(0.1, 0.4, plain_label(text))
    FigureCanvasAgg(figure).draw()
    return np.asarray(figure.canvas.buffer_rgba())


@pytest.mark.parametrize("word", ["$x$", "$a$ $b$", "$"])
def test_a_dollar_is_drawn_as_a_dollar(word):
    figure = Figure(figsize=(2, 0.5))
    figure.text(0.1, 0.4, word, parse_math=False)
    FigureCanvasAgg(figure).draw()
    np.testing.assert_array_equal(drawn(word), np.asarray(figure.canvas.buffer_rgba()))


def test_a_picture_of_any_words_is_drawn_without_a_warning(tmp_path):
    count = len(WORDS)
    explanation = SimpleNamespace(
        label="$x_", probability=0.5, words=WORDS, gradient=np.arange(count) - 3.0, occlusion=np.arange(count) * 1.0
    )
    with warnings.catch_warnings(), matplotlib.rc_context({"text.usetex": True}):
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # of a library below matplotlib
        draw_words(explanation, tmp_path / "words.png")
    assert (tmp_path / "words.png").stat().st_size > 1000


def test_a_legend_has_every_name(tmp_path):
    figure = Figure()
    axes = figure.add_subplot()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # of a library below matplotlib
        axes.plot([1], label=plain_label("_mine"))
        legend = axes.legend()
        save_figure(figure, tmp_path / "x.png")
    assert [text.get_text().lstrip("\u200b") for text in legend.get_texts()] == ["_mine"]


@pytest.mark.parametrize("path", ["a b", "it's", '"x"', "$HOME", "~x", "a;b", "-run", "--help", "a\nb", "日本"])
def test_a_path_is_one_word_of_a_shell_and_no_flag(path):
    word = shell_path(path)
    (read,) = shlex.split(word)
    assert not read.startswith("-") and read.removeprefix("./") == path
    assert shell_path("run-1") == "run-1"
