"""`lm-jax states`: the file it writes, and what it refuses before anything is read."""

import numpy as np


def test_states_are_written(finished, command, tmp_path):
    (tmp_path / "text.txt").write_text("a cab bad\n")
    code, out, err = command("states", finished, tmp_path / "text.txt", "--out", tmp_path / "states.npz", "--no-gates")
    assert (code, err) == (0, "") and "h [10, 8]" in out and "gate" not in out
    with np.load(tmp_path / "states.npz") as read:
        assert set(read) == {"ids", "tokens", "h", "c"} and read["h"].shape == (10, 8)


def test_a_file_that_cannot_be_written(finished, command, tmp_path):
    for words, message in (((), "got none"), (("--out", tmp_path / "s.csv"), "--out must end in .npz or .parquet")):
        code, _, err = command("states", finished, tmp_path / "nothing.txt", *words)
        assert code == 2 and message in err
    assert not list(tmp_path.iterdir())
