"""The READMEs keep their promises: their Python runs, their commands parse, their links lead somewhere."""

import ast
import dataclasses
import importlib
import inspect
import re
import shlex
import sys
from pathlib import Path

import pytest

import lm_jax
from experiments.accelerators.engine_table import records
from lm_jax.cli.train import make_config
from lm_jax.cli.verbs import VERBS
from lm_jax.config import CELLS, NGramConfig, TrainConfig, from_flat
from lm_jax.data.texts import default_text
from lm_jax.queries.load import CLASSES
from lm_jax.tasks import TASKS
from tests.cli.command_line import parsed
from tests.queries.untrained import untrained


ROOT = Path(__file__).parents[1]
ROOMS = sorted(
    path for folder in ("lm_jax", "checkpoints", "experiments") for path in (ROOT / folder).rglob("README.md")
)
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "README.md", *ROOMS)}
LONGEST_START = 10_000, 180  # bytes and lines of the first page
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OWN_CELLS = "# my_cells.py\n"  # the first line of a block that is a file of the reader's
NOT_OURS = (
    "--full",
    "--mib",
    "--only",
    "--seconds",
    "--words",
    "--direction",
    "--grid",
    "--pretrain",
    "--data",
    "--forms",
    "--kenlm",
    "--smoke",
    "--page",
    "--minutes",
    "--write-table",
    "--kills",
    "--flips",
    "--logdir",
    "--out",
    "--runs",
    "--write-table",
)  # of studies


def blocks(page, language):
    """The code blocks of a page in one language."""
    return [code for name, code in FENCE.findall(PAGES[page]) if name == language]


def spans(page):
    """The pieces of code inside the sentences and tables of a page."""
    return re.findall(r"`([^`]+)`", FENCE.sub("", PAGES[page]))


def commands(page):
    """The words of every `lm-jax` command of a page, after `lm-jax` itself."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()] + spans(page)
    for line in lines:
        for piece in re.split(r"&&|\||(?<=\w) >>? ", line.replace("\n", " ")):
            words = shlex.split(piece, comments=True) if "lm-jax" in piece else []
            while words and "=" in words[0]:  # a variable of the environment
                del words[0]
            if words[:2] == ["uv", "run"]:
                del words[:2]
            if len(words) > 1 and words[0] == "lm-jax" and words[1] != "VERB":
                yield words[1:]


BEGINNING = default_text()[:60_000]
CONFIGS = {task.command: task.config for task in TASKS.values() if task.batches}
PYTHON = [  # those of the first page with the fast tests
    pytest.param(page, number, marks=[pytest.mark.slow] * (page != "README.md"))
    for page in PAGES
    for number in range(len(blocks(page, "python")))
]
COMMANDS = [(page, words) for page in PAGES for words in commands(page)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The reader's folder, after `lm-jax train`: the run is small and as it begins, and so is the default text."""
    folder = tmp_path_factory.mktemp("reader")
    small = from_flat(TrainConfig, {"hidden_size": 8, "embedding_size": 4})
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr("lm_jax.data.texts.default_text", lambda: BEGINNING)
        untrained(small, folder / "checkpoints" / "lstm-char-1")
        yield folder


@pytest.fixture
def in_folder(folder, monkeypatch):
    """Python as it is started there, in a clone; a block may add to the tables of kinds and tasks for itself alone."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(folder))
    tables = [(table, dict(table)) for table in (CELLS, TASKS)]
    yield folder
    sys.modules.pop("my_cells", None)
    for table, before in tables:
        table.clear()
        table.update(before)


@pytest.mark.parametrize("page,number", PYTHON)
def test_every_python_block_runs_alone(page, number, in_folder, monkeypatch):
    for block in blocks(page, "python"):
        if block.startswith(OWN_CELLS):
            (in_folder / "my_cells.py").write_text(block)
    block = blocks(page, "python")[number]
    exec(compile(block, f"{page}, block {number}", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", ["README.md", "lm_jax/cells/README.md"])
def test_the_cell_of_a_page_is_one(page, in_folder):
    import jax
    import jax.numpy as jnp

    (block,) = [block for block in blocks(page, "python") if block.startswith(OWN_CELLS)]
    names = {"__name__": "__main__"}
    exec(block, names)
    cell = names["mgu"](3, 4)
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, 2, 3))
    carry, ys = cell.unroll(params, cell.initial_carry(params, (2,)), xs)
    stepped = cell.initial_carry(params, (2,))
    for x, y in zip(xs, ys, strict=True):
        stepped, expected = cell.step(params, stepped, x)
        assert jnp.allclose(y, expected, atol=1e-6)
    assert jnp.allclose(carry, stepped, atol=1e-6)


@pytest.mark.parametrize("page,words", COMMANDS, ids=lambda value: value if isinstance(value, str) else "_".join(value))
def test_every_command_parses(page, words, monkeypatch):
    if " ".join(words).removesuffix("-all").removesuffix(" --help") in VERBS:  # the name of a verb in a sentence
        return
    verb, arguments, given = parsed(words, monkeypatch)
    if verb in CONFIGS and ":" not in given.get("cell", "") and arguments.resume is None:
        make_config(given, None, CONFIGS[verb]).check()
    if verb == "ngram train":
        from_flat(NGramConfig, given).check()


def test_every_flag_exists(capsys):
    from lm_jax.cli.main import main

    known = set()
    for verb in VERBS:
        with pytest.raises(SystemExit):
            main([*verb.split(), "--help-all"])
        known |= set(re.findall(r"--[a-z][\w-]*", capsys.readouterr().out))
    named = {flag for page in PAGES for span in spans(page) for flag in re.findall(r"(?<!\S)--[a-z][\w-]*", span)}
    assert len(named) > 30
    assert not named - known - set(NOT_OURS) - {"--help", "--help-all", "--version"}


def rows(page="lm_jax/README.md"):
    """The table of commands and of what they are in Python."""
    lines = re.findall(r"^\| `lm-jax ([^`]*)` \| (.*) \|$", PAGES[page], re.MULTILINE)
    return [(command, piece) for command, cell in lines for piece in re.findall(r"`([^`]+)`", cell)]


NAMES = {"lm_jax": lm_jax, "dataclasses": dataclasses, **vars(importlib.import_module("lm_jax.config"))}


@pytest.mark.parametrize("command,python", rows())
def test_what_a_command_is_in_python(command, python, monkeypatch):
    """Its functions take such arguments; the settings are those of the flags."""
    importlib.import_module("lm_jax.training.processes")
    for call in [node for node in ast.walk(ast.parse(python)) if isinstance(node, ast.Call)]:
        name, inputs = ast.unparse(call.func), call.args
        if name.startswith("lm_jax.load("):  # a method of what it returns
            method = name.rpartition(".")[2]
            classes = [cls for cls in CLASSES.values() if hasattr(cls, method)]
            function, inputs = getattr(classes[0], method), [None, *inputs]
        else:
            function = eval(name, dict(NAMES))
        inspect.signature(function).bind(*inputs, **{keyword.arg: None for keyword in call.keywords})
        if name == "lm_jax.train" and call.args and "--coordinator" not in command:
            verb, _, given = parsed(shlex.split(command), monkeypatch)
            config = eval(ast.unparse(call.args[0]), dict(NAMES))
            expected = make_config(given, None, CONFIGS[verb]) if verb in CONFIGS else from_flat(NGramConfig, given)
            assert config == expected


def test_every_verb_has_its_python():
    verbs = {verb for verb in VERBS if any(f"{command} ".startswith(f"{verb} ") for command, _ in rows())}
    assert verbs == VERBS.keys() - {"completion"}  # which is for shells alone


def test_no_block_analyses_an_untrained_model():
    analyses = re.compile(r"\banalysis\.\w+\(|likelihood\(|\.gradients\(|\.gradient_map\(|fit_\w+\(|generate\(")
    found = [block for page in PAGES for block in blocks(page, "python") if analyses.search(block)]
    assert len(found) >= 6
    for block in found:
        assert "ngram.estimate(" in block or "lm_jax.load(" in block, block
        assert "model.init(" not in block and "encoder.init(" not in block, block


def table(page, heading):
    """The first cells of the table below a heading."""
    section = PAGES[page].split(f"## {heading}\n")[1].split("\n## ")[0]
    return [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][1:]


def test_the_packages_are_in_the_order_of_their_layers():
    from tests.test_architecture import LAYERS

    named = re.findall(r"\[(\w+)\]", " ".join(table("lm_jax/README.md", "Architecture")))
    folders = [layer for layer in LAYERS if (ROOT / "lm_jax" / layer).is_dir() or layer == "attention"]
    assert named == folders


def test_the_glossary_is_sorted():
    terms = table("lm_jax/README.md", "Glossary")
    assert len(terms) >= 20 and terms == sorted(terms, key=str.lower)


def anchors(text):
    """The names of the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", PAGES[page]):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


def test_every_file_that_a_command_reads_exists():
    files = {file for text in PAGES.values() for file in re.findall(r"\bexperiments/[\w/]+\.(?:py|json)\b", text)}
    assert len(files) > 10 and not [file for file in files if not (ROOT / file).is_file()]


def test_the_start_is_short():
    size, lines = LONGEST_START
    assert len(PAGES["README.md"].encode()) <= size and PAGES["README.md"].count("\n") <= lines


def test_the_first_page_has_its_parts_in_order():
    titles = re.findall(r"^## (.*)$", FENCE.sub("", PAGES["README.md"]), re.MULTILINE)
    beginnings = "Start;I want to;Your own text;In Python;Compare;The gradient;Your own cell;Results;From the;Extras"
    assert len(titles) == 10
    assert all(title.startswith(words) for title, words in zip(titles, beginnings.split(";"), strict=True))


def test_the_install_and_test_commands_are_those_of_ci():
    script = (ROOT / ".ci" / "run").read_text()
    block = blocks("README.md", "bash")[-1].splitlines()
    assert block == ['pip install -e ".[dev]"', "pytest"]
    assert '-e ".[dev]"' in script and "\npytest\n" in script


def test_nothing_was_left_to_fill_in():
    assert not [page for page, text in PAGES.items() if re.search(r"@[A-Z]+@|<<\w|\w>>", text)]


@pytest.mark.parametrize(
    "platform, names",
    [("gpu", r"\b(gpus?|cuda|nvidia|[ahv]100|h200)\b"), ("tpu", r"\b(tpus?|v[2-6][ep])\b")],
)
def test_no_speed_of_a_device_is_claimed_before_one_was_measured(platform, names):
    """Until a record of one lies in experiments/results/accelerator, the pages say so and name none."""
    unmeasured = {"README.md": f"not yet on a {platform}", "speed": f"nothing was on a {platform}"}
    measured = platform in {record.get("platform") for record in records()}
    pages = {page: " ".join(PAGES[page].split()).lower() for page in ("README.md", "lm_jax/cells/README.md")}
    pages["speed"] = pages["lm_jax/cells/README.md"].partition("## speed ")[2]
    assert pages["speed"] and all((line in pages[page]) != measured for page, line in unmeasured.items())
    assert measured or not re.search(names, pages["speed"].replace(unmeasured["speed"], ""))
