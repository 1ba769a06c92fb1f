"""Who hears a run: a terminal, a notebook, nobody; and what a notebook is shown."""

import io
import re
import subprocess
import sys
import types
import xml.etree.ElementTree as ElementTree

import pytest

import lm_jax
from lm_jax.cli.console import TrainingConsole
from lm_jax.cli.estimate_console import EstimateConsole
from lm_jax.cli.seeds_console import SeedsConsole
from lm_jax.interactive.notebook import NotebookProgress
from lm_jax.interactive.progress import hearing, notebook_display
from lm_jax.training.listener import Listener
from tests.runs.toy import toy_config, write_corpus


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        raise OSError


class Page:
    """IPython's display: every output, and what it was at each update."""

    def __init__(self):
        self.outputs = []

    def display(self, line, display_id=False):
        assert display_id is True
        self.outputs.append([line])
        return types.SimpleNamespace(update=self.outputs[-1].append)


@pytest.fixture
def page(monkeypatch):
    """A notebook, as far as the library looks at it."""
    page, ipython = Page(), types.ModuleType("IPython")
    ipython.version_info = (9, 0)  # matplotlib asks
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=1)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    shown = types.ModuleType("IPython.display")
    shown.display = page.display
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return page


def heard(listener, what="steps"):
    with hearing(listener, what) as one:
        return one


def test_nobody_hears_a_run_whose_output_is_read_by_nobody():
    own = Listener()
    assert heard("auto") is None and heard(None) is None and heard(own) is own


@pytest.mark.parametrize(
    ("what", "console"), [("steps", TrainingConsole), ("seeds", SeedsConsole), ("estimate", EstimateConsole)]
)
def test_a_terminal_has_the_console(what, console, monkeypatch):
    assert type(heard("print", what)) is console
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    assert type(heard("auto", what)) is console and heard(None, what) is None


def test_the_bar_is_taken_away_after_an_error(monkeypatch):
    closed = []
    monkeypatch.setattr(TrainingConsole, "close", lambda self: closed.append(self))
    with pytest.raises(KeyError), hearing("print", "steps") as one:
        raise KeyError
    assert closed == [one]


def test_a_notebook_is_known_by_its_kernel(page, monkeypatch):
    assert isinstance(heard("auto"), NotebookProgress) and heard(None) is None
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: types.SimpleNamespace())  # of a terminal
    assert notebook_display() is None and heard("auto") is None


def test_neither_a_console_nor_ipython_is_loaded_for_a_silent_run():
    code = "import sys, lm_jax; lm_jax.train; from lm_jax.interactive.progress import hearing\n"
    code += "with hearing('auto', 'steps'): print({'lm_jax.cli.console', 'IPython'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_notebook_has_one_output_that_is_updated(page, tmp_path, capsys):
    config = toy_config(write_corpus(tmp_path / "text"))
    lm_jax.train(config, tmp_path / "run")
    (updates,) = page.outputs
    assert len(updates) < 20 and capsys.readouterr().out == ""
    last = repr(updates[-1])
    assert last.startswith("LSTM 1x8, ") and "step 20 of 20" in last and last.endswith(f"finished: {tmp_path}/run")
    assert re.search(r"best validation, after step \d+: perplexity", last)
    for line in updates:
        assert "\x1b" not in repr(line) + line._repr_html_() and "\n" not in repr(line)
        ElementTree.fromstring(line._repr_html_())


def test_an_estimate_has_one_output_too(page, tmp_path):
    lm_jax.train_ngram(write_corpus(tmp_path / "text"), tmp_path / "run", order=2)
    (updates,) = page.outputs
    assert repr(updates[-1]).endswith(f"finished: {tmp_path}/run") and "<progress" not in updates[-1]._repr_html_()


def test_updates_are_seldom_and_the_html_escapes():
    page, times = Page(), iter([0.0, 0.0, 0.1, 0.2, 0.7, 0.8])
    progress = NotebookProgress(page.display, lambda: next(times))
    progress.on_stage("counting <unk> & all")
    progress.on_progress("scoring", 1, 4)  # too soon
    progress.on_progress("scoring", 2, 4)
    progress.on_progress("scoring", 3, 4)
    (updates,) = page.outputs
    assert [repr(line) for line in updates] == ["0:00 | counting <unk> & all", "0:01 | scoring 75%"]
    assert "counting &lt;unk&gt; &amp; all" in updates[0]._repr_html_()
