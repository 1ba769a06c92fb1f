"""Each notebook is what its script makes, and every cell of it runs."""

import importlib.util
import json
import os
from pathlib import Path

import pytest


COLAB = Path(__file__).parents[2] / "experiments" / "colab"
PRINTED = {  # by notebook, parts of what it prints
    "quickstart": ("versions: python", "in the mirror: steps", "bits each", "The ", "below 10 %"),
    "gradient_laboratory": (
        "rnn, h: below 10 % after",
        "largest Lyapunov exponent -",
        "within 1 %",
        "cosine with the full",
    ),
}
SCRIPTS = {name: (COLAB / f"{name}.py").read_text() for name in PRINTED}


@pytest.fixture(scope="module")
def maker():
    """The script that makes the notebook, as a module."""
    spec = importlib.util.spec_from_file_location("make_notebook", COLAB / "make_notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cells_of_a_script(maker):
    script = "# %% [markdown]\n# # Title\n#\n# Words.\n\n# %%\nx = 1\n\n# a comment\ny = 2\n\n\n# %%\nz = 3\n"
    expected = [("markdown", "# Title\n\nWords."), ("code", "x = 1\n\n# a comment\ny = 2"), ("code", "z = 3")]
    assert maker.cells(script) == expected
    with pytest.raises(ValueError, match="got 'x = 1'"):
        maker.cells("x = 1\n# %%\n")


def test_a_notebook_has_sources_and_nothing_else(maker):
    record = json.loads(maker.notebook("# %%\nx = 1\ny = 2\n# %% [markdown]\n# Words.\n"))
    code, words = record["cells"]
    assert code.pop("id") != words.pop("id") and (record["nbformat"], record["nbformat_minor"]) == (4, 5)
    assert code == {
        "cell_type": "code",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": ["x = 1\n", "y = 2"],
    }
    assert words == {"cell_type": "markdown", "metadata": {}, "source": ["Words."]}


def code_cells(record):
    return [cell for cell in record["cells"] if cell["cell_type"] == "code"]


def assert_shown(record, name):
    """Every cell ran, in order and without an error; nothing it shows has codes for a terminal."""
    assert [cell["execution_count"] for cell in code_cells(record)] == [k + 1 for k in range(len(code_cells(record)))]
    outputs = [output for cell in code_cells(record) for output in cell["outputs"]]
    assert len(outputs) > 5 and "error" not in {output["output_type"] for output in outputs}
    assert "\x1b" not in json.dumps(outputs, ensure_ascii=False) and "\\u001b" not in json.dumps(outputs)
    printed = "".join(text for output in outputs for text in output.get("text", ()))
    for part in PRINTED[name]:
        assert part in printed
    lines = [output["data"]["text/plain"] for output in outputs if "</progress>" in str(output.get("data"))]
    assert len(lines) == 2 and all("finished: " in "".join(line) for line in lines)  # one updated output a training


@pytest.mark.parametrize("name", PRINTED)
def test_the_notebook_is_up_to_date(name, maker):
    record = json.loads((COLAB / f"{name}.ipynb").read_text())
    assert_shown(record, name)
    for cell in code_cells(record):
        cell |= {"execution_count": None, "outputs": []}
    assert record == json.loads(maker.notebook(SCRIPTS[name]))


@pytest.mark.parametrize("name", PRINTED)
def test_its_code_is_plain_python(name, maker):
    """Without magics, which run in a notebook only."""
    for kind, text in maker.cells(SCRIPTS[name]):
        if kind == "code":
            compile(text, "cell", "exec")


@pytest.fixture
def as_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(COLAB.parents[1]), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("XLA_FLAGS", "")  # of the tests: to compile quickly, not to run quickly


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTED)
def test_every_cell_runs(name, maker, tmp_path, as_elsewhere, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, (kind, text) in enumerate(maker.cells(SCRIPTS[name])):
        if kind == "code":
            exec(compile(text, f"cell {number}", "exec"), names)
    out = capsys.readouterr().out
    for part in PRINTED[name]:
        assert part in out
    if name == "quickstart":
        assert names["RUN"].is_dir() and max(names["mirrored_steps"]()) == names["STEPS"] and "Traceback" not in out
        assert names["score"].bits_per_character < 4.0  # less than what a unigram model takes
        assert "data:image/png" in names["run"]._repr_html_() and "data:image/png" in names["found"]._repr_html_()


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTED)
def test_a_kernel_runs_it(name, maker, tmp_path, as_elsewhere, monkeypatch):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("COLUMNS", "80")
    assert_shown(json.loads(maker.executed(maker.notebook(SCRIPTS[name]), tmp_path)), name)
