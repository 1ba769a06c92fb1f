"""Word vectors: both text formats, plain and packed; sizes and words that do not fit are refused."""

import gzip

import numpy as np
import pytest

from lm_jax.data.vocabulary import Vocabulary
from lm_jax.data.word_vectors import read_vectors
from lm_jax.errors import UserError


VOCABULARY = Vocabulary("word", ("the", "</s>", "Cat", "<unk>"))
LINES = "the 1 2 3\ndog 4 5 6\ncat 7 8 9.5\n"


@pytest.mark.parametrize("header", ["", "3 3\n"], ids=["glove", "word2vec"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "mark"])
@pytest.mark.parametrize("packed", [False, True])
def test_vectors_go_to_their_words(header, packed, mark, tmp_path):
    path = tmp_path / ("vectors.txt.gz" if packed else "vectors.txt")
    with gzip.open(path, "wt") if packed else path.open("w") as file:
        file.write(mark + header + LINES)
    found = read_vectors(path, VOCABULARY, 3)
    np.testing.assert_array_equal(found.ids, [0, 2])
    np.testing.assert_array_equal(found.vectors, [[1, 2, 3], [7, 8, 9.5]])
    assert found.missing == 0.5


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        (LINES, 4, "embedding_size must be that of the vectors, 3"),
        ("the 1 2 3\ncat 1 x 3\n", 3, "line 2"),
        ("the 1 2 3\ndog 1 2 3\ncat 1 2\n", 3, "line 3"),
        ("dog 1 2 3\n", 3, "none of them"),
        ("the\t1\t2\t3\n", 3, "with spaces between, got line 1"),
    ],
)
def test_what_does_not_fit_is_refused(text, size, message, tmp_path):
    (tmp_path / "vectors.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_vectors(tmp_path / "vectors.txt", VOCABULARY, size)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "vectors.gz").write_bytes(b"no gzip")
    for name in ("vectors.gz", "nowhere.txt"):
        with pytest.raises(UserError, match="readable"):
            read_vectors(tmp_path / name, VOCABULARY, 3)
