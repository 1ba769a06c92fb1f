"""Sentences under a closing table."""

import numpy as np
import pytest

from lm_jax.data import Vocabulary
from lm_jax.data.corpora import Corpus
from lm_jax.tasks.closing_remarks import closing_remarks
from lm_jax.tasks.closing_table import FIVE_GRAM, ClosingRow, closing_rows


WORDS = Vocabulary("word", ("a", "</s>", "<unk>"))


def corpus(train=(0, 1), test=(0, 1), vocabulary=WORDS):
    ids = {"train": train, "valid": test, "test": test}
    arrays = {split: np.array(tokens, np.int32) for split, tokens in ids.items()}
    sizes = {split: len(tokens) for split, tokens in ids.items()}
    return Corpus("here", "0", vocabulary, characters=sizes, bytes=sizes, **arrays)


def row(split, model, loss, tokens=2):
    return ClosingRow(split, model, tokens, loss, float(np.exp(loss)), 1.0, 1.0, 0.0)


def table(ours, theirs, train):
    return [row("train", "LSTM", train), row("valid", FIVE_GRAM, theirs), row("valid", "LSTM", ours)]


def test_a_better_network_needs_no_words():
    assert closing_remarks(corpus(), table(1.0, 2.0, 0.5), "LSTM") == ()


@pytest.mark.parametrize(("train", "advice"), [(2.9, "more epochs"), (1.0, "more dropout, a smaller hidden_size")])
def test_a_better_five_gram_is_said_with_what_to_change(train, advice):
    rows = table(3.0, np.log(10.0), train)
    (remark,) = closing_remarks(corpus(), [*rows[:1], row("valid", FIVE_GRAM, 2.0), rows[2]], "LSTM")
    assert "the 5-gram is better than the network: validation perplexity 7.389 against 20.09" in remark
    assert f"what to change: {advice}" in remark
    assert closing_remarks(corpus(), rows) == ()  # of n-grams alone


def test_an_unknown_word_that_was_never_read_is_said():
    (remark,) = closing_remarks(corpus(test=(0, 2, 2, 1)), ())
    assert remark.startswith("50.0% of the test words are <unk>, which the training text does not have")
    assert "min_count 2" in remark
    assert closing_remarks(corpus(train=(0, 2, 1), test=(0, 2)), ()) == ()


def test_a_part_of_a_text_is_said():
    rows = [row("train", "LSTM", 1.0, tokens=2), row("test", "LSTM", 1.0, tokens=2)]
    assert closing_remarks(corpus(train=(0, 0, 1)), rows) == ("scored in the table: of train the first 2 of 3 tokens",)


def test_only_the_training_text_is_shortened_to_50_000_tokens():
    long = corpus(train=[0] * 60_000, test=[0] * 60_000)
    rows = closing_rows(long, {"m": lambda tokens, split: 1.0})
    assert [row.tokens for row in rows] == [50_000, 60_000, 60_000]
    assert [row.bits_per_byte for row in rows] == pytest.approx([1 / np.log(2)] * 3)
    assert closing_remarks(long, rows) == ("scored in the table: of train the first 50,000 of 60,000 tokens",)
