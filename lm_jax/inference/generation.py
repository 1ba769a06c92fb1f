"""Generation with any language model: the prompt in one `unroll`, then one jitted scan of `step`.

`generate` and `stream` draw continuations of a prompt. `next_tokens` gives the most likely tokens after it; whole words
are searched for in lm_jax/inference/word_search.py.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.keys import check_key
from lm_jax.inference.sampling import Sampler, choose
from lm_jax.inference.token_ids import checked_ids
from lm_jax.models.language_model import LanguageModel
from lm_jax.types import Carry, Key, Params


CHUNK = 32


def generate(
    model: LanguageModel,
    params: Params,
    prompt: np.ndarray,
    num_tokens: int,
    key: Key,
    *,
    eol_id: int,
    num_samples: int = 1,
    sampler: Sampler = Sampler(),
) -> np.ndarray:
    """Draws continuations of a prompt.

    Args:
        model: any language model.
        params: its parameters.
        prompt: ids int [P]; may be empty.
        num_tokens: how many tokens to add.
        key: made by jax.random.key.
        eol_id: of the end-of-line token, which the prompt follows.
        num_samples: how many continuations.
        sampler: how a token is chosen.

    Returns:
        Ids int32 [num_tokens, num_samples].

    Raises:
        UserError: for a text in the place of ids, a seed in the place of a key, and numbers below 1.
    """
    chunks = stream(model, params, prompt, num_tokens, key, eol_id=eol_id, num_samples=num_samples, sampler=sampler)
    return np.concatenate(list(chunks))


def stream(
    model: LanguageModel,
    params: Params,
    prompt: np.ndarray,
    num_tokens: int,
    key: Key,
    *,
    eol_id: int,
    num_samples: int = 1,
    sampler: Sampler = Sampler(),
) -> Iterator[np.ndarray]:
    """Yields the same continuations in chunks [at most 32, num_samples], each as soon as it is ready.

    Args:
        model: Any language model.
        params: Its parameters.
        prompt: Ids int [P]; may be empty.
        num_tokens: How many tokens to add.
        key: Made by jax.random.key.
        eol_id: Id of the end-of-line token, which the prompt follows.
        num_samples: How many continuations.
        sampler: How a token is chosen.

    Raises:
        UserError: For a text in the place of ids, a seed in the place of a key, and numbers below 1.
    """
    if num_tokens < 1 or num_samples < 1:
        rule = "tokens and num_samples must be at least 1"
        raise UserError(f"{rule}, got {num_tokens} and {num_samples}", ["tokens", "num_samples"])
    check_key(key)
    carry, token = read_prompt(model, params, prompt, eol_id, num_samples)
    extend, numbers = _jitted_extend(model, sampler.form), sampler.numbers
    for start in range(0, num_tokens, CHUNK):
        carry, token, tokens = extend(params, carry, token, key, start, numbers)
        yield np.asarray(tokens)[: num_tokens - start]


def next_tokens(
    model: LanguageModel, params: Params, prompt: np.ndarray, k: int, *, eol_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the most likely tokens after a prompt, most likely first, and their probabilities; [k] both.

    Args:
        model: Any language model.
        params: Its parameters.
        prompt: Ids int [P]; may be empty.
        k: How many tokens.
        eol_id: Id of the end-of-line token, which the prompt follows.

    Raises:
        UserError: For k below 1, and for a text in the place of ids.
    """
    check_sizes(k=k)
    carry, token = read_prompt(model, params, prompt, eol_id, 1)
    probs, ids = _jitted_top(model, min(k, model.vocab_size))(params, carry, token)
    return np.asarray(ids[0]), np.asarray(probs[0])


def read_prompt(
    model: LanguageModel, params: Params, prompt: np.ndarray, eol_id: int, rows: int
) -> tuple[Carry, np.ndarray]:
    """Returns the carry after all of a prompt but its last token, and that token [rows]: what the next `step` takes.

    The prompt is read in one `unroll`, padded to a power of two: prompts of many lengths share one compiled program.

    Args:
        model: Any language model.
        params: Its parameters.
        prompt: Ids int [P]; may be empty.
        eol_id: Id of the end-of-line token, which the prompt follows.
        rows: The batch size; every row reads the same prompt.

    Raises:
        UserError: For a text in the place of ids.
    """
    inputs = np.concatenate([[eol_id], checked_ids(prompt, model.vocab_size, "prompt")]).astype(np.int32)
    before, token = inputs[:-1], np.full((rows,), inputs[-1], np.int32)
    if not len(before):
        return _jitted_begin(model, rows)(params), token
    padded = np.full((bucket_of(len(before)), rows), eol_id, np.int32)
    padded[: len(before)] = before[:, None]
    mask = np.broadcast_to(np.arange(len(padded))[:, None] < len(before), padded.shape)
    return _jitted_read(model)(params, padded, mask), token


def bucket_of(length: int) -> int:
    """Returns the smallest power of two that is no less:
    what differs in length up to it shares one compiled program."""
    return 1 << max(0, length - 1).bit_length()


@functools.cache
def _jitted_read(model):
    def read(params, tokens, mask):
        carry = model.initial_carry(params, tokens.shape[1:])
        return model.unroll(params, carry, tokens, mask=mask)[0]

    return jax.jit(read)


@functools.cache
def _jitted_begin(model, rows):
    def begin(params):
        return model.initial_carry(params, (rows,))

    return jax.jit(begin)


@functools.cache
def _jitted_extend(model, form):
    def extend(params, carry, token, key, start, numbers):
        def body(state, position):
            carry, token = state
            carry, logits = model.step(params, carry, token)
            token = choose(form, numbers, jax.random.fold_in(key, position), logits)
            return (carry, token), token

        (carry, token), tokens = jax.lax.scan(body, (carry, token), start + jnp.arange(CHUNK))
        return carry, token, tokens

    return jax.jit(extend)


@functools.cache
def _jitted_top(model, k):
    def top(params, carry, token):
        _, logits = model.step(params, carry, token)
        return jax.lax.top_k(jax.nn.softmax(logits), k)

    return jax.jit(top)
