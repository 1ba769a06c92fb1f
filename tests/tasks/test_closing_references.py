"""The losses of n-gram models that a run's loss curve shows are those of the closing table."""

import numpy as np

from lm_jax.data import load_corpus
from lm_jax.tasks.closing_table import TextReading
from lm_jax.tasks.text_closing import closing


def test_references_are_the_validation_losses_of_the_other_models(tmp_path):
    (tmp_path / "text.txt").write_text("ab ba\nba ab ab\nabba\n" * 200)
    corpus = load_corpus(tmp_path / "text.txt", level="char")
    reading = TextReading(corpus.vocabulary.eol_id, 10, "stream")
    found = closing(corpus, reading, {"ours": lambda tokens, split: np.log(2.0)}, "ab")
    rows = {row.model: row.cross_entropy for row in found.rows if row.split == "valid"}
    assert rows["ours"] == np.log(2.0)
    assert found.references == {name: loss for name, loss in rows.items() if name != "ours"} and found.references
