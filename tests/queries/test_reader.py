"""A text read token by token, against the other questions to a run and against numpy."""

import numpy as np
import pytest

import lm_jax
from lm_jax import NGramConfig, UserError
from lm_jax.config import DataConfig
from lm_jax.queries import Reader, next_tokens, reading, score_tokens
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


CHANGES = {"lstm": {}, "words": {"level": "word", "cell": "gru"}, "attention": {"model": "attention"}}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("attention", "ngram")]


@pytest.fixture(scope="module", params=["lstm", "words", *SLOW])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    corpus = write_corpus(folder / "text")
    if request.param == "ngram":
        lm_jax.train(NGramConfig(DataConfig(corpus), order=3), run=folder / "run", listener=None)
        return lm_jax.load(folder / "run")
    return lm_jax.load(untrained(toy_config(corpus, **CHANGES[request.param]), folder / "run"))


@pytest.fixture(scope="module")
def ids(run):
    """480 tokens: chunks of both lengths."""
    return np.resize(run.vocabulary.encode("a cab bad\ndab a cad aba\n" * 20), 480)


@pytest.fixture(scope="module")
def log_probs(run, ids):
    return np.array([token.log_prob for token in score_tokens(run, ids)])


@pytest.mark.parametrize("length", [0, 1, 31, 32, 255, 256, 300, 480])
def test_the_losses_are_those_of_score(length, run, ids, log_probs):
    found = Reader(run).read(ids[:length])
    assert "".join(found.texts) == run.vocabulary.decode(ids[:length].tolist())
    assert len(found.tokens) == len(found.names) == length and len(found.entropies) == length + 1
    np.testing.assert_allclose(found.log_probs, log_probs[:length], rtol=0, atol=1e-5)


def test_the_other_numbers_are_of_the_same_distributions(run, ids):
    reader, size = Reader(run), len(run.vocabulary)
    found = reader.read(ids[:60], 4)
    for place in (0, 3, 31, 32, 59):
        p = dict(next_tokens(run, ids[:place], size))
        probs = np.array([p[token] for token in run.vocabulary.tokens], np.float64)
        here = probs[ids[place]]
        close = np.isclose(probs, here, rtol=1e-4).sum() - 1  # those that float32 may not tell apart
        assert abs(found.ranks[place] - (1 + (probs > here).sum())) <= close
        np.testing.assert_allclose(found.entropies[place], -(probs * np.log(probs)).sum(), rtol=1e-4)
        best = np.sort(probs)[::-1][:5]
        np.testing.assert_allclose(np.exp(found.rivals[1][place]), best, rtol=1e-4)
        np.testing.assert_allclose(probs[found.rivals[0][place]], best, rtol=1e-4)
    expected = next_tokens(run, ids[:60], 4)
    np.testing.assert_allclose([t.probability for t in found.next], [t.probability for t in expected], atol=1e-5)
    assert found.next[0].token == expected[0].token


def test_to_type_one_more_token_reads_one_chunk(run, ids, log_probs, monkeypatch):
    reader, read = Reader(run), []
    inside = reading._jitted_read(run.model)
    monkeypatch.setattr(reading, "_jitted_read", lambda model: lambda *a: read.append(len(a[2])) or inside(*a))
    typed = [reader.read(ids[:length]) for length in range(0, 330, 3)]
    assert set(read) <= {reading.SHORT, reading.LONG} and len(read) <= 2 * len(typed)
    np.testing.assert_allclose(typed[-1].log_probs, log_probs[:327], rtol=0, atol=1e-5)
    read.clear()
    reader.read(ids[:328])
    assert len(read) <= 1


def test_a_reader_forgets_what_was_not_read_for_long(run, ids, log_probs, monkeypatch):
    monkeypatch.setattr(reading, "REMEMBERED_BYTES", 0)
    reader = Reader(run)
    for start in range(0, 200, 7):
        reader.read(ids[start : start + 40])
    assert len(reader._chunks) <= 8
    np.testing.assert_allclose(reader.read(ids).log_probs, log_probs, rtol=0, atol=1e-5)


def test_what_a_reader_refuses(run):
    with pytest.raises(UserError, match="k must be a whole number of at least 1, got 0"):
        Reader(run).read("a", 0)
    with pytest.raises(UserError, match="a run folder holds config"):
        Reader("/nothing/here")
