"""The command in this process, and one finished run for all who only look at it."""

import pytest

import lm_jax
from lm_jax.cli.main import main
from tests.runs.toy import toy_config, write_corpus


@pytest.fixture(autouse=True)
def a_pipe(monkeypatch):
    """Nothing around says how wide the output is, or that it has colours."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command(capsys):
    """`command("train", "--steps", "5")` returns the exit code, and what went to the two streams."""

    def run(*words):
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as exit_:
            code = exit_.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder of three small texts."""
    return write_corpus(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="session")
def finished(corpus, tmp_path_factory):
    """The folder of a finished run at character level."""
    return lm_jax.train(toy_config(corpus), tmp_path_factory.mktemp("finished") / "run").folder


@pytest.fixture(scope="session")
def finished_words(corpus, tmp_path_factory):
    """The folder of a finished run at word level, without an unknown word."""
    config = toy_config(corpus, level="word", batch_size=2, bptt=4, steps=2)
    return lm_jax.train(config, tmp_path_factory.mktemp("finished") / "run").folder


def tree(folder):
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
