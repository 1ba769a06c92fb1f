"""Networks learn from batches that are drawn anew at every step."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lm_jax.models import LanguageModel
from lm_jax.types import Params


class Problem(NamedTuple):
    """Tokens [T, B] with an answer [T, B] after each, and where it is asked for [T, B]."""

    tokens: Any
    answers: Any
    asked: Any


class Plan(NamedTuple):
    """How a network is trained: steps, steps between two looks at it, learning rate and weight decay of AdamW."""

    steps: int
    every: int
    rate: float = 3e-3
    decay: float = 0.1
    warm_up: float = 0.1  # share of the steps


Draw = Callable[[Any], Problem]  # from a random key


def predict(model: LanguageModel, params: Params, tokens: Any) -> Any:
    """Logits [T, B, V] of the answers."""
    return model.unroll(params, model.initial_carry(params, tokens.shape[1:]), tokens)[1]


def right(model: LanguageModel, params: Params, problem: Problem) -> Any:
    """Whether the most probable token is the answer, [T, B]."""
    return jnp.argmax(predict(model, params, problem.tokens), axis=-1) == problem.answers


def learn(
    model: LanguageModel, draws: Sequence[Draw], plan: Plan, seeds: Sequence[int]
) -> Iterator[tuple[int, Params, np.ndarray]]:
    """Trains one network a seed, all at once, and yields what they have learnt every `plan.every` steps.

    Args:
        model: what is trained; its parameters get an axis of seeds in front.
        draws: make the batches; each has an equal share of the steps, one after the other.
        plan: how long and how fast.
        seeds: of the weights and the batches.

    Yields:
        The step, the parameters [S, ...], and the mean losses [S] since the last time (nats).
    """
    key_init, key_data = jax.vmap(jax.random.split, out_axes=1)(jnp.stack([jax.random.key(seed) for seed in seeds]))
    rates = optax.warmup_cosine_decay_schedule(
        0.0, plan.rate, int(plan.warm_up * plan.steps), plan.steps, plan.rate / 10
    )
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rates, weight_decay=plan.decay))
    params = jax.vmap(model.init)(key_init)
    state = jax.vmap(optimizer.init)(params)
    share = plan.steps // len(draws)
    for lesson, draw in enumerate(draws):
        advance = _advance(model, draw, optimizer, plan.every)
        for step in range(lesson * share, (lesson + 1) * share, plan.every):
            keys = jax.vmap(lambda key, step=step: jax.random.fold_in(key, step))(key_data)
            params, state, losses = advance(params, state, keys)
            yield step + plan.every, params, np.asarray(losses)


def _advance(model, draw, optimizer, steps):
    def loss_of(params, problem):
        losses = optax.softmax_cross_entropy_with_integer_labels(
            predict(model, params, problem.tokens), problem.answers
        )
        return jnp.sum(losses * problem.asked) / jnp.sum(problem.asked)

    def one(carry, key):
        params, state = carry
        loss, gradient = jax.value_and_grad(loss_of)(params, draw(key))
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), loss

    def advance(params, state, key):
        (params, state), losses = jax.lax.scan(one, (params, state), jax.random.split(key, steps))
        return params, state, losses.mean()

    return jax.jit(jax.vmap(advance), donate_argnums=(0, 1))
