"""A language model as functions of lists of arrays, for programs that know no pytrees of ours."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm_jax.models import LanguageModel
from lm_jax.types import Params


Arrays = list[jax.Array]


class FlatModel(NamedTuple):
    """A language model over lists of arrays; B sequences, T tokens, V vocabulary entries.

    start: (weights, tokens [B]) -> carry, of which the tokens give the size only.
    step: (weights, carry, tokens [B]) -> (carry, log P of every next token [B, V]) in nats.
    score: (weights, carry, inputs [T, B], targets [T, B]) -> (carry, log P(target) [T, B]) in nats, step by step, so
    that T may be left open; equal to `LanguageModel.score` by its laws.
    weights: the leaves of the parameters.
    """

    start: Callable[..., Arrays]
    step: Callable[..., tuple[Arrays, jax.Array]]
    score: Callable[..., tuple[Arrays, jax.Array]]
    weights: Arrays


def flat_model(model: LanguageModel, params: Params) -> FlatModel:
    """Takes a model and its parameters apart into functions of lists of arrays."""
    weights, tree = jax.tree.flatten(params)
    carry_tree = jax.tree.structure(jax.eval_shape(lambda: model.initial_carry(params, (1,))))

    def start(weights, tokens):
        return jax.tree.leaves(model.initial_carry(jax.tree.unflatten(tree, weights), tokens.shape))

    def step(weights, carry, tokens):
        params, carry = jax.tree.unflatten(tree, weights), jax.tree.unflatten(carry_tree, carry)
        carry, logits = model.step(params, carry, tokens)
        return jax.tree.leaves(carry), jax.nn.log_softmax(logits)

    def score(weights, carry, inputs, targets):
        def score_one(carry, pair):
            carry, log_probs = step(weights, carry, pair[0])
            return carry, jnp.take_along_axis(log_probs, pair[1][:, None], axis=1)[:, 0]

        return jax.lax.scan(score_one, carry, (inputs, targets))

    return FlatModel(start, step, score, weights)
