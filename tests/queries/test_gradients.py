"""The gradients of a run: which texts are measured, from which carry, and what stands where in the map of a text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lm_jax
from lm_jax import DataConfig, UserError
from lm_jax.analysis import gradient_flow, lag_profile
from lm_jax.data import Vocabulary
from lm_jax.data.excerpts import cut_texts
from lm_jax.queries.token_text import shown_tokens
from tests.inference.toys import stepped_log_probs
from tests.queries.untrained import untrained
from tests.runs.toy import toy_config, write_corpus


TEXT = "a bad cab"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of two LSTM layers."""
    folder = tmp_path_factory.mktemp("run")
    return untrained(toy_config(write_corpus(folder / "text"), layers=2, hidden_size=4), folder / "run")


def valid_tokens(run):
    """The validation text and its end of line."""
    vocabulary = lm_jax.load(run).vocabulary
    return vocabulary.encode((run.parent / "text" / "valid.txt").read_text()), vocabulary.eol_id


def carry_after(model, params, tokens):
    """Step by step."""
    carry, step = model.initial_carry(params, ()), jax.jit(model.step)
    for token in tokens:
        carry, _ = step(params, carry, token)
    return carry


def test_texts_are_read_with_what_stands_before_them(run):
    """Three parts of the text; of each, the predictions 13 .. 24 after the first twelve were read."""
    trained = lm_jax.load(run)
    model, params = trained.model, trained.params
    tokens, eol_id = valid_tokens(run)
    result = lm_jax.gradients(run, texts=3, length=12, max_lag=5, layer=0)
    part = -(-len(tokens) // 3)
    starts = np.cumsum([0, part, part - (len(tokens) % 3 == 1)])
    texts = np.stack([np.append(eol_id, tokens[start : start + 24]) for start in starts], axis=1)
    carries = [carry_after(model, params, column[:12]) for column in texts.T]
    carry = jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries)
    flow = gradient_flow(model, params, texts[12:], carry=carry)
    assert (result.texts, result.length, result.warm_up, result.max_lag) == (3, 12, 12, 5)
    assert (result.level, result.split, result.layer) == ("char", "valid", 0)
    assert [list(leaves) for leaves in result.profiles] == [["h", "c", "all"]] * 2
    for layer, leaves in enumerate(result.profiles):
        for leaf, profile in leaves.items():
            expected = lag_profile(flow, layer=layer, leaf=leaf, max_lag=5)
            np.testing.assert_allclose(profile.log_median, expected.log_median, atol=2e-4)
            np.testing.assert_array_equal(profile.counts, 3 * (12 - profile.lags))
    assert result.profile is result.profiles[0]


CUTS = {  # tokens, texts and length asked for: texts, length, tokens read before
    (1000, 4, 100): (4, 100, 100),
    (1000, 4, 200): (4, 200, 50),
    (1000, 9, 200): (5, 200, 0),
    (1003, 9, 400): (2, 400, 101),
    (150, 9, 400): (1, 150, 0),
}


@pytest.mark.parametrize(("asked", "got"), CUTS.items(), ids=str)
def test_a_short_text_gives_fewer_and_then_shorter_ones(asked, got):
    tokens, warm_up = cut_texts(np.arange(1, asked[0] + 1), 0, "stream", *asked[1:])
    assert (tokens.shape[1], len(tokens) - 1 - warm_up, warm_up) == got
    assert np.all(tokens[0] == 0) and tokens[1, 0] == 1 and np.all(np.diff(tokens[1:], axis=0) == 1)


def test_sentence_mode_measures_the_longest_lines():
    """Each after an end of line, with nothing before it; a blank line is never among them."""
    vocabulary = Vocabulary("char", ("\n", *"abcdef"))
    text = vocabulary.encode("ab\nabcd\n\nabcdef\n")
    for texts, length, expected in (
        (2, 100, [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 0]]),
        (9, 100, [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 0]]),  # "ab" is less than half as long
        (9, 4, [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 0]]),
        (1, 4, [[0, 1, 2, 3, 4]]),
    ):
        tokens, warm_up = cut_texts(text, 0, "sentence", texts, length)
        assert warm_up == 0
        np.testing.assert_array_equal(tokens.T, expected)


def test_the_map_of_a_text_is_the_derivative(run):
    """Of -log P of every token by a perturbation of h on the edge that leaves each step before, by autodiff."""
    trained = lm_jax.load(run)
    model, params, vocabulary = trained.model, trained.params, trained.vocabulary
    inputs = np.append(vocabulary.eol_id, vocabulary.encode(TEXT))
    count = len(TEXT)

    def losses(edges, tops):
        carry, found = model.initial_carry(params, ()), []
        for x, target, edge, top in zip(inputs, inputs[1:], edges, tops, strict=False):
            carry, y = model.opened.cell.step(params.cell, carry, params.embedding[x])
            found.append(-model.opened.log_probs(params, (y + top)[None], jnp.asarray(target)[None])[0])
            carry = (carry[0], carry[1]._replace(h=carry[1].h + edge))
        return jnp.stack(found)

    zeros = jnp.zeros((count, 4))
    by_edge, by_top = jax.jit(jax.jacobian(losses, argnums=(0, 1)))(zeros, zeros)
    norms = np.linalg.norm(by_edge, axis=-1)
    outputs = np.diagonal(np.linalg.norm(by_top, axis=-1))
    expected = norms / outputs[:, None]
    np.fill_diagonal(expected, 1.0)
    result = lm_jax.queries.gradient_map(run, TEXT)
    below = np.tril_indices(count)
    np.testing.assert_allclose(np.exp(result.log_shares[below]), expected[below], rtol=1e-4)
    assert np.isnan(result.log_shares[np.triu_indices(count, 1)]).all()
    assert result.past == ("⏎", *"a␣bad␣ca") and result.predicted == tuple("a␣bad␣cab")
    np.testing.assert_allclose(result.nats, -np.array(stepped_log_probs(model, params, inputs)), rtol=1e-5)
    assert (result.layer, result.unknown) == (1, ())
    assert not np.allclose(lm_jax.queries.gradient_map(run, TEXT, layer=0).log_shares[below], result.log_shares[below])


def test_names_of_tokens():
    names = shown_tokens
    assert names(Vocabulary("word", ("a", "</s>", "<unk>")), [0, 1, 2]) == ("a", "⏎", "<unk>")
    assert names(Vocabulary("char", ("\n", "\t", " ", "é")), [0, 1, 2, 3]) == ("⏎", "\\t", "␣", "é")
    byte = Vocabulary("byte", tuple(f"{i:02x}" for i in range(256)))
    assert names(byte, [10, 32, 97, 0xC3]) == ("⏎", "␣", "a", "c3")


def test_unknown_words_are_told(tmp_path):
    config = toy_config(write_corpus(tmp_path / "text"), level="word", batch_size=2, bptt=4, steps=1, cell="rnn")
    config = lm_jax.TrainConfig(**{**vars(config), "data": DataConfig(config.data.data, "word", max_vocab=5)})
    run = untrained(config, tmp_path / "run")
    result = lm_jax.queries.gradient_map(run, "a zebra a zoo zebra")
    assert result.unknown == ("zebra", "zoo") and result.past == ("⏎", "a", "<unk>", "a", "<unk>")


BAD = {
    "no texts": ({"texts": 0}, "texts must be a whole number of at least 1, got 0"),
    "no length": ({"length": 0}, "length must be"),
    "one prediction": ({"length": 1}, "a text of at least two, got 1"),
    "lag beyond the text": ({"length": 20, "max_lag": 20}, "max_lag must be below .* of a text, 20, got 20"),
    "no lag": ({"max_lag": 0}, "max_lag must be"),
    "split": ({"split": "dev"}, "split must be one of train, valid, test or all, got 'dev'"),
    "layer": ({"layer": 2}, "layer must be from 0 to 1, or -1 for the top, got 2"),
    "text": ({"data": "missing.txt"}, "must be an existing"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_measured_is_told_in_a_line(run, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        lm_jax.gradients(run, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "count"), [("", 0), ("a", 1), ("a" * 401, 401)], ids=["none", "one", "too many"])
def test_a_map_needs_some_tokens_and_not_too_many(run, text, count):
    with pytest.raises(UserError, match=f"a text of 2 to 400 tokens, got {count}"):
        lm_jax.queries.gradient_map(run, text)


def test_what_has_no_recurrence_is_refused(run, tmp_path):
    data = str(run.parent / "text")
    counts = lm_jax.train(lm_jax.NGramConfig(DataConfig(data), order=2), tmp_path / "counts").folder
    window = untrained(toy_config(data, model="window", window=2), tmp_path / "window")
    for folder, kind in ((counts, "2-gram MKN"), (window, "window-2 1x8")):
        for measure in (lambda f: lm_jax.gradients(f), lambda f: lm_jax.queries.gradient_map(f, TEXT)):
            with pytest.raises(UserError, match=f"need a recurrent network, got {kind} "):
                measure(folder)
