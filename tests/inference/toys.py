"""Language models built by hand, whose probabilities are known."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells import rnn
from lm_jax.models import LanguageModel, recurrent_lm


def table_model(logits: np.ndarray) -> tuple[LanguageModel, jax.Array]:
    """A model and its params: the logits [V, V] of the next token depend on the current token only."""

    def initial_carry(params, batch_shape):
        return jnp.zeros(batch_shape, jnp.int32)

    def step(params, carry, token):
        return carry + 1, params[token]

    return from_step(initial_carry, step, len(logits)), jnp.asarray(logits, jnp.float32)


def spelling_model(ids: list[int], vocab_size: int) -> LanguageModel:
    """A one-hot model that spells a known string, whatever it reads, and then its last token for ever."""
    spelled = jnp.asarray(ids)

    def initial_carry(params, batch_shape):
        return jnp.zeros(batch_shape, jnp.int32)

    def step(params, carry, token):
        wanted = spelled[jnp.minimum(carry, len(spelled) - 1)]
        return carry + 1, jnp.where(jnp.arange(vocab_size) == wanted[..., None], 0.0, -1e9)

    return from_step(initial_carry, step, vocab_size)


def from_step(initial_carry, step, vocab_size: int) -> LanguageModel:
    """A model from the definition of its two other functions: loops over `step`."""

    def unroll(params, carry, tokens, *, mask=None, reset=None, key=None):
        mask = jnp.ones(tokens.shape, bool) if mask is None else mask
        reset = jnp.zeros(tokens.shape, bool) if reset is None else reset

        def body(carry, slices):
            token, keep, restart = slices
            start = jnp.where(restart, initial_carry(params, token.shape), carry)
            new, logits = step(params, start, token)
            return jnp.where(keep, new, carry), logits

        return jax.lax.scan(body, carry, (tokens, mask, reset))

    def score(params, carry, inputs, targets, *, mask=None, reset=None, key=None):
        carry, logits = unroll(params, carry, inputs, mask=mask, reset=reset)
        log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
        return carry, log_probs if mask is None else jnp.where(mask, log_probs, 0.0)

    return LanguageModel(lambda key: None, initial_carry, step, unroll, score, vocab_size)


def small_rnn(vocab_size: int = 7) -> tuple[LanguageModel, object]:
    """A recurrent model and normal parameters, biases too."""
    model = recurrent_lm(vocab_size, rnn(3, 5))
    generator = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return model, jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), shapes)


def stepped_log_probs(model: LanguageModel, params, stream: np.ndarray) -> list[float]:
    """log P of every token of one stream but its first, in float64 from float32 logits, step by step."""
    carry, log_probs = model.initial_carry(params, ()), []
    step = jax.jit(model.step)
    for token, target in itertools.pairwise(stream):
        carry, logits = step(params, carry, token)
        logits = np.asarray(logits, np.float64)
        log_probs.append(float(logits[target] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()))
    return log_probs
