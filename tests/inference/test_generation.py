"""Generation: the known string of a one-hot model, and the same text however it is cut up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.cells import lstm
from lm_jax.data import build_vocabulary
from lm_jax.inference import Sampler, generate, generation, stream
from lm_jax.models import recurrent_lm
from tests.inference.toys import from_step, small_rnn, spelling_model, table_model


EOL = 0
GREEDY = Sampler(greedy=True)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def model_and_params():
    """A recurrent model of 7 types."""
    return small_rnn()


@pytest.mark.parametrize("text", ["hello world\n", "a", "the cat sat on the mat and it sat and it sat and sat there\n"])
def test_greedy_of_a_one_hot_model_returns_the_known_string(text):
    vocabulary = build_vocabulary("char", text)
    model = spelling_model(vocabulary.encode(text).tolist(), len(vocabulary))
    tokens = generate(model, None, [], len(text), KEY, eol_id=vocabulary.eol_id, sampler=GREEDY)
    assert tokens.shape == (len(text), 1) and tokens.dtype == np.int32
    assert vocabulary.decode(tokens[:, 0]) == text
    # its probabilities are 1 and 0, so every way to sample spells it too
    sampled = generate(model, None, [], len(text), KEY, eol_id=vocabulary.eol_id, num_samples=3)
    assert {vocabulary.decode(sampled[:, k]) for k in range(3)} == {text}


@pytest.mark.parametrize("read", [0, 1, 5])
def test_the_prompt_moves_a_one_hot_model_on(read):
    """The end-of-line token and all of the prompt are read, each once, before the first new token."""
    spelled = list(range(1, 20))
    model = spelling_model(spelled, 20)
    tokens = generate(model, None, np.full(read, 3), 4, KEY, eol_id=EOL, sampler=GREEDY)
    assert tokens[:, 0].tolist() == spelled[read : read + 4]


@pytest.mark.parametrize("length", [0, 1, 2, 5, 8])
def test_a_prompt_is_consumed_as_by_hand(model_and_params, length):
    model, params = model_and_params
    prompt = np.random.default_rng(length).integers(0, 7, length)
    carry, step = model.initial_carry(params, ()), jax.jit(model.step)
    for token in [EOL, *prompt]:
        carry, logits = step(params, carry, token)
    expected = []
    for _ in range(40):
        token = int(np.argmax(logits))
        expected.append(token)
        carry, logits = step(params, carry, token)
    assert generate(model, params, prompt, 40, KEY, eol_id=EOL, sampler=GREEDY)[:, 0].tolist() == expected


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5])
@pytest.mark.parametrize("recurrence", ["scan", "fused"])
def test_a_padded_prompt_leaves_the_carry_of_the_prompt(length, recurrence):
    """Bit for bit on the scan, whose steps are compiled alike for any number of them."""
    model = recurrent_lm(7, lstm(3, 5, recurrence=recurrence))
    params = model.init(jax.random.key(0))
    prompt = np.random.default_rng(length).integers(0, 7, length)
    carry, token = generation.read_prompt(model, params, prompt, EOL, 2)
    read = np.tile(np.append(EOL, prompt)[:, None], 2).astype(np.int32)
    np.testing.assert_array_equal(token, read[-1])
    expected, _ = jax.jit(model.unroll)(params, model.initial_carry(params, (2,)), read[:-1])
    for a, b in zip(carry, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=0 if recurrence == "scan" else 1e-6)


@pytest.mark.parametrize(("length", "bucket"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1025, 2048)])
def test_buckets_are_powers_of_two(length, bucket):
    assert generation.bucket_of(length) == bucket


def test_every_sample_starts_from_the_same_prompt():
    """The next token is the current one plus 1, 2 or 3 with equal probability."""
    logits = np.full((12, 12), -np.inf)
    for token in range(12):
        logits[token, [(token + hop) % 12 for hop in (1, 2, 3)]] = 0.0
    model, params = table_model(logits)
    samples = generate(model, params, [4], 20, KEY, eol_id=EOL, num_samples=300)
    assert samples.shape == (20, 300)
    assert set(np.diff(samples, axis=0, prepend=np.full((1, 300), 4)).ravel() % 12) == {1, 2, 3}
    assert len({tuple(samples[:, k]) for k in range(300)}) > 290
    # 20 hops of 3 choices: a chi-square with 2 degrees of freedom passes 14 once in a thousand
    counts = np.bincount((np.diff(samples, axis=0).ravel() % 12) - 1)
    assert np.sum((counts - counts.mean()) ** 2 / counts.mean()) < 14


@pytest.mark.parametrize("size", [7, 100])
def test_the_result_does_not_depend_on_the_size_of_chunks(model_and_params, size, monkeypatch):
    model, params = model_and_params
    expected = generate(model, params, [1, 2], 50, KEY, eol_id=EOL, num_samples=2)
    monkeypatch.setattr(generation, "CHUNK", size)
    same = model._replace(step=lambda *arguments: model.step(*arguments))  # a new function: compiled with the new size
    result = generate(same, params, [1, 2], 50, KEY, eol_id=EOL, num_samples=2)
    np.testing.assert_array_equal(result, expected)


def test_chunks_are_the_whole(model_and_params):
    model, params = model_and_params
    chunks = list(stream(model, params, [3], 70, KEY, eol_id=EOL, num_samples=2))
    assert [chunk.shape for chunk in chunks] == [(32, 2), (32, 2), (6, 2)]
    np.testing.assert_array_equal(
        np.concatenate(chunks), generate(model, params, [3], 70, KEY, eol_id=EOL, num_samples=2)
    )


def test_a_shorter_text_is_the_start_of_a_longer_one(model_and_params):
    model, params = model_and_params
    long, short = (generate(model, params, [3], n, KEY, eol_id=EOL) for n in (45, 5))
    np.testing.assert_array_equal(long[:5], short)


def test_keys_matter_and_repeat(model_and_params):
    model, params = model_and_params
    one, again, other = (generate(model, params, [], 32, jax.random.key(s), eol_id=EOL) for s in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_prompts_of_one_bucket_trace_once():
    traces = []

    def step(params, carry, token):
        traces.append(token.shape)
        return carry + 1, jnp.zeros((*token.shape, 4))

    model = from_step(lambda params, shape: jnp.zeros(shape, jnp.int32), step, 4)
    for length in (5, 6, 7, 8):  # 5 to 8 tokens are read before the last one
        generate(model, None, np.ones(length, int), 3, KEY, eol_id=EOL, sampler=GREEDY)
    first = len(traces)
    generate(model, None, np.ones(7, int), 40, jax.random.key(1), eol_id=EOL, sampler=GREEDY)
    assert len(traces) == first == 2  # one for reading, one for extending
    generate(model, None, np.ones(9, int), 3, KEY, eol_id=EOL, sampler=GREEDY)
    assert len(traces) == 3  # the next bucket: only reading is traced anew


@pytest.mark.parametrize(("num_tokens", "num_samples"), [(0, 1), (-1, 1), (5, 0)])
def test_bad_numbers_are_refused(model_and_params, num_tokens, num_samples):
    with pytest.raises(UserError, match="must be at least 1, got"):
        generate(*model_and_params, [], num_tokens, KEY, eol_id=EOL, num_samples=num_samples)
