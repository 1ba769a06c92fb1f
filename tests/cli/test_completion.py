"""Completion in shells: bash is run, the other scripts are read."""

import shutil
import subprocess

import pytest

from lm_jax.cli.verbs import VERBS


ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
_lm_jax
echo "${COMPREPLY[*]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    from lm_jax.cli.completion import flags_of
    from lm_jax.cli.completion_scripts import bash

    path = tmp_path_factory.mktemp("completion") / "lm-jax"
    path.write_text(bash({verb: flags_of(verb) for verb in VERBS}))
    return path


@pytest.mark.parametrize(
    "words,expected",
    [
        (["tr"], "train translate"),
        (["ngram", ""], "train prune import export"),
        (["ngram", "train", "--method", "k"], "kneser-ney katz"),
        (["train", "--cell", "l"], "lstm lru"),
        (["train", "my.txt", "--cel"], "--cell"),
        (["train", "--lr"], "--lr"),
        (["train", "--no-t"], "--no-tied"),
        (["classify", "predict", "RUN", "--ex"], "--explain"),
        (["classify", "train", "--pooling", "m"], "mean max"),
        (["evaluate", "RUN", "--split", "v"], "valid"),
        (["train", "my"], ""),  # bash completes names of files then
        (["train", "--data", ""], ""),
    ],
)
def test_bash_completes(words, expected, script):
    done = subprocess.run(["bash", "-c", ASK, "bash", script, "lm-jax", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_has_every_verb_and_is_read_by_its_shell(shell, command, tmp_path):
    code, out, err = command("completion", shell)
    assert (code, err) == (0, "") and out.startswith(f"# completion of lm-jax for {shell}\n")
    assert all(f'"{verb}"' in out for verb in VERBS) and "modified-kneser-ney" in out and "hidden-size" in out
    if shutil.which(shell):
        (tmp_path / "script").write_text(out)
        assert subprocess.run([shell, "-n", tmp_path / "script"], capture_output=True).stderr == b""


def test_another_shell(command):
    code, out, err = command("completion", "fihs")
    assert (code, out) == (2, "") and "must be one of bash, zsh, fish, got 'fihs'; did you mean fish?" in err
