"""What a long text takes of the memory of a whole process, as the operating system counts it."""

import pytest

from tests.long_text import MIB, make_text, peak


TEXT, BASE = 72 * MIB, 600 * MIB  # a file that is read in blocks; what Python, JAX and the programs may take


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text of made-up words, most of whose n-grams are rare."""
    path = tmp_path_factory.mktemp("memory")
    make_text(path / "text.txt", TEXT)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("method", ["modified-kneser-ney", "katz"])
def test_counting_takes_the_memory_that_it_is_given(folder, method):
    """The tables alone are longer."""
    run, words = folder / method, "ngram train --level word --order 3 --max-memory 64".split()
    command = (*words, "--method", method, "--data", f"{folder}/text.txt", "--run", str(run))
    assert peak(folder, *command) < BASE + 64 * MIB
    assert (run / "tables.npz").stat().st_size > 64 * MIB


@pytest.mark.slow
def test_training_takes_no_list_of_words(folder):
    """That would be thirty times the text. What compilation takes differs by 300 MiB from one run to the next, so the
    factor itself is held by the bytes that Python allocates: tests/data/test_large_text.py.
    """
    words = "train --level word --max-vocab 10000 --hidden-size 32 --steps 20".split()
    assert peak(folder, *words, "--data", f"{folder}/text.txt", "--run", f"{folder}/run") < 2 << 30
