"""What is imported when: help and `import lm_jax` do without the heavy libraries."""

import subprocess
import sys

import pytest

import lm_jax
from lm_jax.cli.main import VERBS, main


HEAVY = ("jax", "flax", "optax", "orbax", "datasets", "tokenizers", "matplotlib", "numpy")


def imported_by(code):
    """The heavy libraries that some code imports in a process of its own, and what it prints."""
    script = (
        "import atexit, sys\n"
        f"names = {HEAVY}\n"
        "atexit.register(lambda: print(*(name for name in names if name in sys.modules), file=sys.stderr))\n" + code
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split()), done.stdout


def test_importing_the_package_imports_nothing_heavy():
    assert imported_by("import lm_jax\ndir(lm_jax)")[0] == set()


def test_importing_everything_public_leaves_the_optional_out():
    imported, _ = imported_by("import lm_jax\nfor name in lm_jax.__all__: getattr(lm_jax, name)")
    assert "jax" in imported and not imported & {"datasets", "tokenizers", "orbax", "matplotlib"}


def test_help_imports_no_jax():
    imported, out = imported_by("from lm_jax.cli.main import main\nmain(['--help'])")
    assert imported == set()
    assert all(f"lm-jax {verb}" in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_imports_no_jax(verb):
    imported, out = imported_by(f"from lm_jax.cli.main import main\nmain({[*verb.split(), '--help']})")
    assert imported == set()
    assert all(len(line) <= 80 for line in out.splitlines())
    assert f"lm-jax {verb}" in out and ("RUN" in out or "--run" in out or verb in ("doctor", "runs", "completion"))


def test_the_installed_command_is_this_one():
    done = subprocess.run([sys.executable, "-c", "from lm_jax.cli.main import main; main()"], capture_output=True)
    assert done.returncode == 0 and b"lm-jax train" in done.stdout


def test_help_names_every_setting(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "--help-all"])
    assert caught.value.code in (0, None)
    text = capsys.readouterr().out
    for name in ("--data", "--hidden-size", "--clip", "--bptt", "--resume", "--run", "--steps", "--seed", "--tied"):
        assert name in text


def test_unknown_names_are_told():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        lm_jax.nonsense  # noqa: B018
    assert {"train", "load", "TrainConfig", "cells"} <= set(dir(lm_jax))
