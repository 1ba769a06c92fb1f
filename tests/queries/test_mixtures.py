"""The row of a mixture: its runs' probabilities mixed by hand, weights of the validation text, and what is refused."""

import random
import shutil
from collections import Counter

import numpy as np
import pytest

import lm_jax
from lm_jax import DataConfig, UserError
from lm_jax.config import NGramConfig
from lm_jax.inference.likelihood import line_sums, token_log_probs
from lm_jax.inference.significance import bootstrap_ratio, paired_test
from lm_jax.queries.compare import compare
from lm_jax.queries.mixtures import Mixture
from tests.queries.untrained import untrained
from tests.runs.toy import WORDS, toy_config


CACHE = 30
METHODS = {"unigram": (1, "add-k"), "five": (5, "absolute-discounting"), "zeros": (4, "maximum-likelihood")}


def write_text(folder, seed):
    """Lines of two words each time, so that a cache helps; some lines are noise, fewer where n-grams learn."""
    generator = random.Random(seed)
    folder.mkdir()
    for name, lines, noise in (("train", 80, 0.02), ("valid", 30, 0.1 + 0.3 * seed), ("test", 30, 0.3)):
        drawn = [generator.choices(generator.sample(WORDS, 2), k=4) for _ in range(lines)]
        drawn = [generator.choices("abcd ", k=9) if generator.random() < noise else words for words in drawn]
        (folder / f"{name}.txt").write_text("".join(" ".join(words) + "\n" for words in drawn))
    return str(folder)


PAIRED = ("difference", "difference_low", "difference_high", "p_value")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a text, another one, and runs of the first by name."""
    folder = tmp_path_factory.mktemp("mixed")
    text = write_text(folder / "text", seed=0)
    write_text(folder / "other", seed=1)
    untrained(toy_config(text), folder / "lstm")
    untrained(toy_config(text, cell="gru", mode="sentence"), folder / "gru")
    untrained(toy_config(text, level="byte"), folder / "bytes")
    for name, (order, method) in METHODS.items():
        config = NGramConfig(data=DataConfig(text), order=order, method=method)
        lm_jax.train(config, folder / name)
    return folder


def paths(folder, *names):
    """The paths of runs."""
    return [str(folder / name) for name in names]


def cache_by_hand(tokens, eol_id, streams, vocab_size):
    """Log-probabilities under the last CACHE tokens, one more count being spread over all types; streams apart."""
    found = []
    for stream in np.array_split(tokens, streams):
        read = [eol_id, *stream]
        for t in range(1, len(read)):
            window = read[max(0, t - CACHE) : t]
            found.append(np.log((Counter(window)[read[t]] + 1 / vocab_size) / (len(window) + 1)))
    return np.asarray(found)


def columns(here, names, text, streams=10, mode="stream", cache=True):
    """Log-probabilities [M, N] in float64 of a text under each run, and of a cache."""
    found = []
    for run in paths(here, *names):
        trained = lm_jax.load(run)
        model, params, vocabulary = trained.model, trained.params, trained.vocabulary
        tokens = vocabulary.encode(text)
        options = {"eval_streams": streams, "mode": mode}
        found.append(token_log_probs(model, params, tokens, vocabulary.eol_id, **options))
    if cache:
        found.append(cache_by_hand(tokens, vocabulary.eol_id, streams, len(vocabulary)))
    return np.asarray(found, np.float64), line_sums(np.ones(len(tokens)), tokens, vocabulary.eol_id)[1]


def em(log_probs, steps=5000):
    """Many plain steps of expectation and maximisation."""
    weights = np.full(len(log_probs), 1 / len(log_probs))
    for _ in range(steps):
        shares = weights[:, None] * np.exp(log_probs)
        weights = (shares / shares.sum(0)).mean(1)
    return weights


def read(here, split, text="text"):
    """One part of a text."""
    return (here / text / f"{split}.txt").read_text()


def test_probabilities_are_mixed_with_the_weights_of_the_row(here):
    names = ["lstm", "unigram", "five"]
    *_, above, row = compare(paths(here, *names), mixture=True, cache=CACHE, samples=500, seed=3)
    log_probs, lengths = columns(here, names, read(here, "test"))
    weights = np.asarray(list(row.weights.values()))
    assert list(row.weights) == [*names, "cache of 30 tokens"]
    assert weights.sum() == pytest.approx(1, abs=1e-12) and (weights > 0.01).sum() >= 3
    mixed = -np.log(weights @ np.exp(log_probs))
    assert row.cross_entropy == pytest.approx(mixed.mean(), rel=1e-6)
    blocks = [np.add.reduceat(nats, np.cumsum(lengths) - lengths) for nats in (mixed, -log_probs[2])]
    interval = bootstrap_ratio(blocks[0], lengths, 500, 3)
    assert row.interval("cross_entropy") == pytest.approx(list(interval), rel=1e-6)
    assert [getattr(row, name) for name in PAIRED] == pytest.approx(
        paired_test(*blocks, lengths, 500, 3), rel=1e-4, abs=1e-6
    )
    assert above.name == "five" and row.difference == pytest.approx(row.cross_entropy - above.cross_entropy)


@pytest.mark.parametrize("data", [None, "other"])
def test_weights_are_those_of_the_validation_text_of_the_same_data(here, data):
    names = ["lstm", "unigram", "five"]
    given = None if data is None else str(here / data)
    row = compare(paths(here, *names), given, mixture=True, cache=CACHE)[-1]
    expected = em(columns(here, names, read(here, "valid", data or "text"))[0])
    assert list(row.weights.values()) == pytest.approx(expected, abs=2e-3)


def test_the_two_texts_ask_for_different_weights(here):
    """Or the test before would prove nothing."""
    names = ["lstm", "unigram", "five"]
    weights = [em(columns(here, names, read(here, *part))[0]) for part in (("valid",), ("valid", "other"), ("test",))]
    for one, other in ((0, 1), (0, 2)):
        assert np.abs(weights[one] - weights[other]).max() > 0.01


def test_line_by_line(here):
    """N-gram models read a text in any mode, so the network's is taken, for weights and scores."""
    row = compare(paths(here, "unigram", "gru"), mixture=True, eval_streams=2)[-1]
    assert row.mode == "sentence" and row.eval_streams == 2
    held_out, tested = (
        columns(here, ["unigram", "gru"], read(here, split), 2, "sentence", cache=False)[0]
        for split in ("valid", "test")
    )
    weights = list(row.weights.values())
    assert weights == pytest.approx(em(held_out), abs=2e-3)
    assert row.cross_entropy == pytest.approx(-np.log(weights @ np.exp(tested)).mean(), rel=1e-6)


def test_what_is_summed_up(here, tmp_path):
    *rows, row = compare(paths(here, "lstm", "unigram", "five"), mixture=True, cache=CACHE)
    for name in ("bytes", "training_seconds", "ngrams"):
        assert getattr(row, name) == sum(getattr(one, name) for one in rows if getattr(one, name) is not None) > 0
    assert row.parameters == rows[0].parameters
    assert (row.name, row.family, row.run, row.mode) == ("mixture", "mixture", None, "stream")
    assert all(one.weights is None for one in rows)
    shutil.copytree(here / "unigram", tmp_path / "unigram")
    (tmp_path / "unigram" / "results.json").unlink()
    row = compare([tmp_path / "unigram"], mixture=True, cache=CACHE)[-1]
    assert row.parameters is None and row.ngrams == rows[1].ngrams and row.training_seconds is None


def test_many_mixtures(here):
    """Each of some of the runs, in the order they are asked for; paths may be spelled in any way."""
    folders = paths(here, "lstm", "unigram", "five")
    asked = [
        Mixture([here / "text" / ".." / "unigram"], CACHE, "unigram + cache"),
        Mixture(folders[:2], name="both"),
        Mixture(),
    ]
    *_, one, two, three = compare(folders, mixture=asked)
    assert [row.name for row in (one, two, three)] == ["unigram + cache", "both", "mixture"]
    assert [list(row.weights) for row in (one, two, three)] == [
        ["unigram", "cache of 30 tokens"],
        ["lstm", "unigram"],
        ["lstm", "unigram", "five"],
    ]
    alone = compare(folders[1:2], mixture=True, cache=CACHE)[-1]
    assert one.cross_entropy == alone.cross_entropy and one.weights == alone.weights
    assert two.difference == pytest.approx(two.cross_entropy - one.cross_entropy)


def test_a_run_that_is_given_twice_is_mixed_once(here):
    twice = compare(paths(here, "five", "lstm", "five"), mixture=True)[-1]
    once = compare(paths(here, "five", "lstm"), mixture=True)[-1]
    assert twice.weights == once.weights and twice.cross_entropy == once.cross_entropy


def test_runs_of_one_name_keep_their_weights_apart(here, tmp_path):
    shutil.copytree(here / "lstm", tmp_path / "unigram")
    both = [str(here / "unigram"), str(tmp_path / "unigram")]
    assert list(compare(both, mixture=True)[-1].weights) == both


def test_what_one_model_rules_out_another_allows(here):
    zeros, lstm, row = compare(paths(here, "zeros", "lstm"), mixture=True)
    assert zeros.impossible > 0 == row.impossible and row.perplexity < lstm.perplexity


def test_the_best_first_wherever_it_comes_from(here):
    rows = compare(paths(here, "lstm", "unigram", "five"), mixture=True, sort=True)
    assert [row.perplexity for row in rows] == sorted(row.perplexity for row in rows)
    assert rows[0].family == "mixture"


def test_progress_goes_on_to_the_mixture(here):
    told = []
    compare(paths(here, "lstm", "five"), mixture=True, eval_streams=1, progress=lambda *share: told.append(share))
    shares = [done / total for done, total in told]
    assert shares == sorted(shares) and told[-1] == (1, 1) and 2 / 3 < shares[-2] < 1


REFUSED = {
    "split": (["lstm", "five"], {"split": "valid"}, "judged on the test split only, .*, got valid"),
    "whole": (["lstm", "five"], {"split": "all"}, "judged on the test split only, .*, got all"),
    "alone": (["lstm"], {}, "two different runs, or one run with cache given, got .*lstm"),
    "itself": (["lstm", "lstm"], {}, "two different runs, or one run with cache given, got .*lstm$"),
    "modes": (["lstm", "five", "gru"], {}, "runs of one mode, got stream of .*lstm and sentence of .*gru"),
    "vocabularies": (
        ["five", "bytes"],
        {},
        r"one vocabulary, .* got 6 entries \(char\) of .*five and 256 entries \(byte\) of",
    ),
    "no size": (["lstm", "five"], {"cache": 0}, "cache must be a whole number of at least 1, got 0"),
    "no mixture": (
        ["lstm"],
        {"cache": 9, "mixture": False},
        "cache must go with mixture, whose part it is, got cache 9 alone",
    ),
    "two caches": (["lstm"], {"cache": 9, "mixture": [Mixture(cache=8)]}, "how large its cache is, got cache=9"),
    "nothing": (["lstm"], {"mixture": [Mixture([])]}, "two different runs, .*, got none"),
    "others": (["lstm"], {"mixture": [Mixture(["five"], 9)]}, "of runs that are compared, got five"),
}


@pytest.mark.parametrize(("names", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_mixtures_that_cannot_be(here, monkeypatch, names, options, message):
    monkeypatch.setattr("lm_jax.queries.block_scores.token_log_probs", lambda *_, **__: pytest.fail("scored"))
    with pytest.raises(UserError, match=message) as refused:
        compare(paths(here, *names), **{"mixture": True, **options})
    assert "\n" not in str(refused.value)


def test_types_in_another_order_are_another_vocabulary(here, tmp_path):
    shutil.copytree(here / "lstm", tmp_path / "turned")
    vocabulary = lm_jax.runs.open_run(here / "lstm").vocabulary
    lm_jax.data.Vocabulary(vocabulary.level, vocabulary.tokens[::-1]).save(tmp_path / "turned" / "vocabulary.json")
    with pytest.raises(UserError, match=r"one vocabulary, .* got 6 entries \(char\) of .*lstm and 6 entries"):
        compare([here / "lstm", tmp_path / "turned"], mixture=True)
