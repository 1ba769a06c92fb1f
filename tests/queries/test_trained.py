"""lm_jax.load: a run that answers questions; a text goes in as characters or as ids, and comes out as characters."""

import json

import jax
import numpy as np
import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.inference import Sampler, generate, token_log_probs
from lm_jax.queries import TrainedLanguageModel, continue_text, score_tokens, stream_text
from lm_jax.queries.token_text import to_ids, to_text
from lm_jax.strict_json import to_json
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a text and its runs, by name."""
    folder = tmp_path_factory.mktemp("trained")
    text = write_corpus(folder / "text")
    untrained(toy_config(text), folder / "chars")
    untrained(toy_config(text, level="word", batch_size=2, bptt=4, cell="gru"), folder / "words")
    untrained(toy_config(text, level="byte", cell="rnn"), folder / "bytes")
    lm_jax.train(lm_jax.NGramConfig(lm_jax.DataConfig(text), order=3), folder / "counts")
    return folder


@pytest.fixture(scope="module")
def trained(here):
    return lm_jax.load(here / "chars")


def test_a_loaded_run_shows_its_name_not_its_numbers(trained, here):
    assert isinstance(trained, TrainedLanguageModel)
    assert repr(trained) == f"TrainedLanguageModel(run={str(here / 'chars')!r})"


@pytest.mark.parametrize("name", ["chars", "words", "bytes", "counts"])
def test_generate_is_the_prompt_and_what_the_model_adds(here, name):
    trained = lm_jax.load(here / name)
    vocabulary = trained.vocabulary
    expected = generate(
        trained.model,
        trained.params,
        vocabulary.encode("a bad"),
        9,
        jax.random.key(3),
        eol_id=vocabulary.eol_id,
        sampler=Sampler(temperature=0.7, top_k=4),
    )
    text = trained.generate("a bad", 9, temperature=0.7, top_k=4, seed=3)
    follows = "".join(vocabulary.pieces(expected[:, 0], after="a bad"))
    assert text == "a bad" + follows and follows.split() == vocabulary.decode(expected[:, 0]).split()
    assert text == lm_jax.generate(here / name, "a bad", 9, temperature=0.7, top_k=4, seed=3)


def test_one_sample_is_a_text_and_several_are_a_list(trained):
    texts = trained.generate("a ", 12, num_samples=3, seed=1)
    assert len(texts) == 3 and len(set(texts)) > 1 and all(text.startswith("a ") for text in texts)
    assert trained.generate("a ", 12, greedy=True) == trained.generate("a ", 12, greedy=True, seed=5)
    assert isinstance(trained.generate(tokens=3), str)


def test_a_stream_is_the_same_text_in_pieces(trained, here):
    pieces = list(trained.stream("a b", 40, Sampler(top_k=3), seed=2))
    (whole,) = continue_text(trained, "a b", 40, Sampler(top_k=3), seed=2)
    assert len(pieces) == 40 and "".join(pieces) == whole.text == trained.vocabulary.decode(whole.tokens)
    with pytest.raises(UserError, match="every character must be in the vocabulary"):
        stream_text(here / "chars", "zebra")  # when it is asked for, not at its first piece


def test_a_text_may_be_given_as_ids(trained):
    ids = trained.vocabulary.encode("a bad")
    for given in (ids, ids.tolist(), "a bad"):
        assert trained.generate(given, 5) == trained.generate("a bad", 5)
        assert trained.next_tokens(given, 3) == trained.next_tokens("a bad", 3)
        assert trained.score(given) == trained.score("a bad")
        assert trained.gradient_map(given).predicted == trained.gradient_map("a bad").predicted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([0, 99], "must be ids from 0 to 5, got 0 to 99"),
        ([-1], "must be ids from 0 to 5, got -1 to -1"),
        ([0.5], "must be ids, whole numbers in one row"),
        ([[1]], "must be ids, whole numbers in one row"),
        (b"\xff", "must be UTF-8"),
        ("zebra", "every character must be in the vocabulary"),
    ],
)
def test_a_text_that_the_vocabulary_lacks_is_refused(trained, text, message):
    for ask in (trained.generate, trained.next_tokens, trained.score, trained.gradient_map, trained.beam_search):
        with pytest.raises(UserError, match=message):
            ask(text)


def test_texts_and_ids_of_a_prompt(here, trained):
    assert to_ids(trained.vocabulary, []).dtype == np.int32
    assert to_text(trained.vocabulary, trained.vocabulary.encode("a b")) == to_text(trained.vocabulary, b"a b") == "a b"
    words = lm_jax.load(here / "words").vocabulary
    ids = words.encode("cab")
    follows = ["".join(words.pieces(ids, after=prompt)) for prompt in ("", "a", "a ", "a\n")]
    assert follows == ["cab", " cab", "cab", "cab"]
    assert "".join(trained.vocabulary.pieces(trained.vocabulary.encode("b"), after="a")) == "b"


def test_scores_by_line_and_by_token_are_the_model_s(trained):
    text, vocabulary = "a bad\ncab", trained.vocabulary
    log_probs = token_log_probs(
        trained.model, trained.params, vocabulary.encode(text), vocabulary.eol_id, eval_streams=1
    )
    tokens = trained.score_tokens(text)
    assert [score.token for score in tokens] == list(text)
    np.testing.assert_array_equal([score.log_prob for score in tokens], log_probs)
    first, second = trained.score(text)
    assert (first.text, first.tokens, second.text, second.tokens) == ("a bad", 6, "cab", 3)
    sums = log_probs[:6].sum(), log_probs[6:].sum()
    assert (first.log_prob, second.log_prob) == pytest.approx(sums)
    assert trained.score(text, alone=True)[1].log_prob == pytest.approx(trained.score("cab")[0].log_prob, rel=1e-5)
    assert trained.score("") == [] == score_tokens(trained, "")


def test_a_search_is_ranked(trained):
    found = trained.beam_search("a", 6, beam_size=4, length_penalty=0.5)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True) and len(found) == 4
    (line,) = trained.score("a" + found[0].text)[:1]
    (prompt,) = trained.score("a")
    assert found[0].log_prob == pytest.approx(line.log_prob - prompt.log_prob, rel=1e-4)


def test_a_method_is_the_question_to_the_folder(trained, here):
    run = here / "chars"
    evaluated, again = trained.evaluate(split="valid"), lm_jax.evaluate(run, split="valid")
    assert evaluated._replace(seconds=0) == again._replace(seconds=0)
    one, other = trained.gradients(texts=2, length=9), lm_jax.gradients(run, texts=2, length=9)
    assert one.profile["h"].horizons == other.profile["h"].horizons and one.run == other.run
    assert lm_jax.queries.next_tokens(run, "a", 2) == trained.next_tokens("a", 2)
    (row,) = lm_jax.compare([trained])
    assert row._replace(tokens_per_second=0) == lm_jax.compare([run])[0]._replace(tokens_per_second=0)


def test_minimal_pairs_are_texts_or_a_file(trained, tmp_path):
    pairs = [("a cab", "a bad", "x"), ("cab", "cab", "y")]
    path = tmp_path / "pairs.jsonl"
    lines = [{"sentence_good": good, "sentence_bad": bad, "kind": kind} for good, bad, kind in pairs]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = trained.minimal_pairs(pairs)
    assert result == trained.minimal_pairs(path, "kind") and list(result.groups) == ["all", "x", "y"]
    first, second = result.judgements
    good, bad = (trained.score(sentence + "\n", alone=True)[0].log_prob for sentence in pairs[0][:2])
    assert first.difference == pytest.approx(good - bad, rel=1e-4) and second.difference == 0
    assert list(trained.minimal_pairs(path).groups) == ["all"]
    with pytest.raises(UserError, match="at least one, got none"):
        trained.minimal_pairs([])
    with pytest.raises(UserError, match="one line of text, got 'a\\\\nb' in pair 1"):
        trained.minimal_pairs([("a\nb", "a")])


def test_records_become_objects_of_json(trained):
    """Also inside others; an array is a list, and what is no number is null."""
    (token,) = trained.next_tokens("a", 1)
    assert json.loads(to_json([token])) == [{"token": token.token, "probability": token.probability}]
    record = json.loads(to_json(trained.gradient_map("a bad")))
    assert record["past"][0] == "⏎" and record["log_shares"][0][0] == 0 and record["log_shares"][0][1] is None
    assert set(json.loads(to_json(trained.minimal_pairs([("a", "b")])))["groups"]["all"]) == {
        *("accuracy", "low", "high", "pairs")
    }


def test_a_loaded_run_takes_and_gives_text(trained, here):
    assert trained.next("a bad", 3) == trained.next_tokens("a bad", 3) and isinstance(trained.next("a")[0].token, str)
    one, other = trained.gradients("a bad"), trained.gradient_map("a bad")
    assert one.text == "a bad" and np.array_equal(one.log_shares, other.log_shares, equal_nan=True)
    with pytest.raises(UserError, match=r"gradients through time need a recurrent network, got 3-gram"):
        lm_jax.load(here / "counts").gradients("a bad")
    counts = lm_jax.load(here / "counts")
    assert counts.next("a b", 2) and counts.score("a b")[0].tokens == 3 and counts.evaluate().tokens > 0


def test_a_question_takes_the_run_that_a_training_returned(here, tmp_path):
    run = lm_jax.train_ngram(here / "text", tmp_path / "run", order=2)
    assert lm_jax.load(run).run == str(run.folder)
    assert lm_jax.generate(run, "a", 4, seed=2) == lm_jax.generate(run.folder, "a", 4, seed=2)
    assert lm_jax.compare([run])[0].run == str(run.folder)
    with pytest.raises(UserError, match="a list of at least one run"):
        lm_jax.compare(run)
