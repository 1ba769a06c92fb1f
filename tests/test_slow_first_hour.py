"""The first hour of a newcomer: a fresh clone, the first page's blocks in order, texts of one's own, every help, ninety
mistakes. The notebook is run in tests/experiments/test_notebook.py.

The clone has what is committed. Its commands are run by this test's interpreter, since an environment of its own cannot
be installed without a network; .ci/run installs one as the first page says, for each version of Python, and runs this
there. Trainings get `--steps 30`: what they print is asserted, not how good it is.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from lm_jax.cli.verbs import VERBS
from lm_jax.data.texts import default_text
from tests.test_readme import OWN_CELLS, ROOT, blocks


pytestmark = pytest.mark.slow
SHIM = """#!/bin/sh
short=""
if [ "$1" = train ]; then
  case " $* " in
    *" --resume "*|*" --steps "*|*" --help"*) ;;
    *" --epochs "*) short="--epochs 1" ;;  # the last one counts
    *) short="--steps 30" ;;
  esac
fi
exec {python} -m lm_jax "$@" $short
"""
ESCAPE = re.compile(r"\x1b")
# runs every line of a JSON list by the command line of one process, and prints its code and what it says
MANY = """
import contextlib, io, json, sys
from lm_jax.cli.main import main
said = []
for line in json.load(open(sys.argv[1])):
    out, code = io.StringIO(), 0
    with contextlib.redirect_stdout(out):
        try:
            main(line.split())
        except SystemExit as end:
            code = end.code
    said.append([code or 0, out.getvalue()])
print(json.dumps(said))
"""
# the blocks of the first page in their order, with the installing left out: what each must print
SAYS = {
    "lm-jax train": "5-gram MKN",
    "lm-jax generate checkpoints/lstm-char-1": "The ",
    "lm-jax gradients checkpoints/lstm-char-1 --text": "10 % reaches",
    "lm-jax train my.txt": "perplexity",
    "lm-jax train FOLDER --level word": "</s>|perplexity",
    "lm-jax train my.txt --cell gru": "GRU 2x200",
    "lm-jax train my.txt --model attention": "attention-128 2x128",
    "lm-jax ngram train": "5-gram MKN",
    "lm-jax train --cell rnn": "RNN 1x256",
    "lm-jax train --resume checkpoints/rnn": "is finished",
    "lm-jax compare": "(?i)rnn",
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of this checkout, with a text, a folder of three and a JSONL file beside the code."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no clone without git and a repository")
    home = tmp_path_factory.mktemp("newcomer")
    folder = home / "lm_jax_clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (home / "many.py").write_text(MANY)
    lines = default_text()[:30_000].splitlines(keepends=True)
    (folder / "my.txt").write_text("".join(lines))
    (folder / "FOLDER").mkdir()
    for name, part in (("train", lines[:-120]), ("valid", lines[-120:-60]), ("test", lines[-60:])):
        (folder / "FOLDER" / f"{name}.txt").write_text("".join(part))
    (folder / "CHAPTERS").mkdir()
    for number in range(3):
        (folder / "CHAPTERS" / f"ch_{number + 1:02}.txt").write_text("".join(lines[number::3]))
    (folder / "mine.jsonl").write_text("".join(json.dumps({"text": line.strip()}) + "\n" for line in lines))
    (home / "bin").mkdir()
    shim = home / "bin" / "lm-jax"
    shim.write_text(SHIM.format(python=sys.executable))
    shim.chmod(0o755)
    return folder


@pytest.fixture
def shell(clone):
    """`shell("lm-jax train")` runs a line in the clone, in a pipe and 80 columns, and returns what it prints."""

    def run(line, code=0):
        names = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "JPY_PARENT_PID")
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment |= {"PYTHONPATH": str(clone), "PATH": f"{clone.parent / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(line, shell=True, cwd=clone, env=environment, capture_output=True, text=True)
        assert done.returncode == code, (line, done.stdout[-2000:], done.stderr[-2000:])
        assert not ESCAPE.search(done.stdout + done.stderr), line
        return done.stdout

    return run


def test_the_blocks_of_the_first_page_in_order(shell, clone):
    lines = [line for block in blocks("README.md", "bash") for line in block.splitlines()]
    lines = [line.split("  #")[0].rstrip() for line in lines if not line.startswith(("pip ", "pytest"))]
    expected = list(SAYS.items())
    assert len(lines) == len(expected)
    for line, (beginning, words) in zip(lines, expected, strict=True):
        assert line.startswith(beginning)
        printed = shell(line)
        assert re.search(words, printed), (line, printed)
    assert (clone / "comparison" / "ledger.json").is_file()
    assert (clone / "checkpoints" / "lstm-char-1" / "heat_map" / "heat_map.png").is_file()


def test_the_python_of_the_first_page(shell, clone):
    for number, block in enumerate(blocks("README.md", "python")):
        name = "my_cells.py" if block.startswith(OWN_CELLS) else f"block_{number}.py"
        (clone / name).write_text(block)
        if name != "my_cells.py":
            shell(f"{sys.executable} {name}")
    assert "MGU" in shell("lm-jax train --cell my_cells.py:mgu")


def test_lines_of_json_are_a_text(shell):
    assert "LSTM" in shell("lm-jax train mine.jsonl --hidden-size 16 --steps 20")


def test_a_folder_of_any_three_texts_is_one(shell):
    printed = shell("lm-jax train CHAPTERS --hidden-size 16 --steps 5")
    assert "CHAPTERS" in printed and re.search(r"by position", printed), printed


def test_every_help(shell, clone):
    lines = [line for verb in VERBS for line in (f"{verb} --help", f"{verb} --help-all", f"help {verb}")]
    (clone.parent / "lines.json").write_text(json.dumps(lines))
    said = json.loads(shell(f"{sys.executable} ../many.py ../lines.json"))
    assert len(said) == 3 * len(VERBS) and {code for code, _ in said} == {0}
    for verb, (_, short), (_, all_settings), (_, asked) in zip(VERBS, said[::3], said[1::3], said[2::3], strict=True):
        assert asked == short
        assert len(short.splitlines()) <= len(all_settings.splitlines()) + 1  # the line that names --help-all
        for text in (short, all_settings):
            assert text.startswith(f"usage: lm-jax {verb}") and "examples:" in text
            assert max(map(len, text.splitlines())) <= 80 and not ESCAPE.search(text)
    assert shell("lm-jax train --help") == said[3 * list(VERBS).index("train")][1]  # as a process of its own says it


def test_ninety_mistakes_have_their_fix(shell):
    """Each is one line that names the fix, and leaves nothing behind: the table of tests/cli, in the clone."""
    mistakes = "tests/cli/test_ninety_mistakes.py"
    printed = shell(f"{sys.executable} -m pytest -q -n 0 -p no:cacheprovider --color no {mistakes}")
    assert int(re.search(r"(\d+) passed", printed)[1]) > 90


def test_the_version_and_the_list_of_verbs(shell):
    assert re.match(r"lm[-_]jax \d+\.\d+", shell("lm-jax --version"))
    assert all(f"lm-jax {verb}" in shell("lm-jax --help") for verb in ("train", "ngram train", "compare"))
    assert max(map(len, shell("lm-jax").splitlines())) <= 80


def test_the_clone_stays_clean(shell):
    changed = shell("git status --porcelain").splitlines()
    own = ("my.txt", "FOLDER", "CHAPTERS", "mine.jsonl", "comparison", "my_cells.py", "block_")
    assert not [line for line in changed if not line[3:].startswith(own)]
