"""Texts of drawn sentences, and their ids."""

from experiments.harness.sentences import ids_of, write_corpus
from lm_jax.data.vocabulary import build_vocabulary


def test_a_corpus_has_a_twentieth_for_validation_and_for_the_test(tmp_path):
    write_corpus(tmp_path / "text", 40, lambda k: ["line", str(k)])
    lines = {path.stem: path.read_text().splitlines() for path in (tmp_path / "text").iterdir()}
    assert {split: len(own) for split, own in lines.items()} == {"train": 40, "valid": 2, "test": 2}
    assert lines["train"][-1] == "line 39" and lines["test"] == ["line 0", "line 1"]


def test_sentences_are_columns_between_ends_of_lines():
    vocabulary = build_vocabulary("word", "a b c\n")
    a, b, end = vocabulary.ids["a"], vocabulary.ids["b"], vocabulary.eol_id
    assert ids_of([["a", "b"], ["b"]], vocabulary).T.tolist() == [[end, a, b], [end, b, end]]
