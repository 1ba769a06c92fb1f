"""The use of context by a language model: what its predictions lose when the past is cut off, or put out of order.

    J_full(i)  = -log P(x_{i+1} | x_1 .. x_i)                          in nats, the text read from its start
    J_cut(i)   = -log P(x_{i+1} | s, x_{i-n+1} .. x_i)                 only the last n tokens, read from a state s
    J_order(i) = the same with n the longest context, all but its last k tokens in a random order

s is the initial carry, or the carry that the model had elsewhere: at another of the predictions, half of the text
away. The initial one is seldom or never met inside a text, and a recurrence may be caught by it in a regime of its
own; the other is as good as any that the model knows, but of no use. After Khandelwal et al. 2018, "Sharp Nearby,
Fuzzy Far Away".
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from lm_jax.analysis.checks import check_opened, checked_rising
from lm_jax.analysis.trajectory import open_text
from lm_jax.errors import UserError, check_sizes, one_of
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Carry, Params, TextIds


STARTS = {"elsewhere": 0, "initial": 1}  # rows of the axis S below
FAR = 0.5


@shortly_shown
class ContextUse(NamedTuple):
    """Losses in nats of P predictions, with C lengths of context, K of order, and S starts: "elsewhere", "initial".

    contexts, shuffle_beyond: n and k as they were asked for.
    positions: (i, b) of each prediction: of tokens[i + 1, b] after tokens[: i + 1, b].
    full: J_full. cut: J_cut for each n. ordered: J_order for each k.
    distance: |y_cut - y_full| / |y_full|, y the top layer's output that the prediction is made from.
    """

    contexts: tuple[int, ...]
    shuffle_beyond: tuple[int, ...]
    positions: Int[np.ndarray, "P 2"]
    full: Float[np.ndarray, "P"]
    cut: Float[np.ndarray, "S C P"]
    ordered: Float[np.ndarray, "S K P"]
    distance: Float[np.ndarray, "S C P"]

    def cost(self, start: str = "elsewhere") -> tuple[Float[np.ndarray, "C"], Float[np.ndarray, "C"]]:
        """Returns the mean of J_cut - J_full for each n, and the standard error of this paired difference."""
        return _paired(self.cut[one_of("start", start, STARTS)], self.full)

    def order_cost(self, start: str = "elsewhere") -> tuple[Float[np.ndarray, "K"], Float[np.ndarray, "K"]]:
        """Returns the mean of J_order - J_cut for each k, J_cut of the longest context, and its standard error."""
        row = one_of("start", start, STARTS)
        return _paired(self.ordered[row], self.cut[row, -1])

    def horizon(self, share: float = 0.01, start: str = "elsewhere") -> int | None:
        """Returns the functional horizon: the smallest n that costs, as all longer ones do,
        < share of the mean of J_full.

        None if even the longest context costs more.
        """
        small = self.cost(start)[0] < share * self.full.mean()
        first = len(small) - int(np.argmin(small[::-1])) if not small.all() else 0
        return self.contexts[first] if first < len(small) else None

    def caught(self, start: str = "elsewhere") -> Float[np.ndarray, "C"]:
        """Returns the share of predictions for each n whose output is still far from that of the whole past:
        distance > 1/2."""
        return np.mean(self.distance[one_of("start", start, STARTS)] > FAR, axis=-1)


def context_use(
    model: LanguageModel,
    params: Params,
    tokens: TextIds,
    *,
    contexts: Sequence[int] = (1, 2, 5, 10, 20, 50, 100, 200),
    positions: int = 512,
    shuffle_beyond: Sequence[int] | None = None,
    streams: int = 1,
    carry: Carry | None = None,
    seed: int = 0,
) -> ContextUse:
    """Measures the loss of random predictions that see only the last n tokens, or far tokens in random order.

    Time is one pass over the text, and 2 * positions rows of sum(contexts) + max(contexts) * K steps. Memory is that
    of the carries at these predictions. There is one compilation for all n and k, and one for the text.

    Args:
        model: a language model with a recurrence.
        params: its parameters.
        tokens: ids [N] of one text, or [T+1, B] of several; the first prediction is made from the first token.
        contexts: each n, rising.
        positions: number of predictions, or all that have more tokens before them than the longest context.
        shuffle_beyond: each k, rising. Default: the contexts but the longest; () for none.
        streams: pieces that one text is cut into to be read in parallel; up to B - 1 tokens are left over.
        carry: the carry before the first token. Default: the initial one.
        seed: seed of the choice of predictions and of the shuffles, one for each prediction and k.

    Returns:
        The losses by n, from a zero state and from a carried one, and by k.

    Raises:
        UserError: for a model without a recurrence, a text with fewer than two such predictions, contexts that do not
            rise, a k that is not below the longest, ids not in the vocabulary, or losses that are no numbers.
    """
    check_opened(model)
    contexts, ks = _checked_lengths(contexts, shuffle_beyond)
    longest = contexts[-1]
    check_sizes(positions=positions, streams=streams)
    text = open_text(model, params, _cut(tokens, streams), carry=carry)
    inputs, targets = text.inputs, text.targets
    chosen = _choose(inputs.shape, longest, positions, np.random.default_rng((seed, 0)))

    starts, ys = _starts_and_outputs(model, text.opened, params, text.carry, inputs, chosen)
    i, b = chosen.T
    windows = inputs[i + np.arange(1 - longest, 1)[:, None], b]
    read = functools.partial(_compiled_reading(text.opened), params, starts, ys, targets[i, b])
    full, cut, distance = (np.stack(a) for a in zip(*[_on_host(read(windows, n)) for n in contexts], strict=True))
    generator = np.random.default_rng((seed, 1))
    shuffled = [_on_host(read(_shuffled(windows, k, generator), longest))[1] for k in ks]
    ordered = np.stack(shuffled, axis=1) if ks else np.empty((len(STARTS), 0, len(chosen)))
    result = ContextUse(contexts, ks, chosen, full[0], cut.swapaxes(0, 1), ordered, distance.swapaxes(0, 1))
    if not all(np.isfinite(losses).all() for losses in (result.full, result.cut, result.ordered)):
        raise UserError(
            "this analysis needs losses that are numbers, got NaN or infinite ones (has the model diverged?)"
        )
    return result


def _starts_and_outputs(model, opened, params, carry, inputs, chosen):
    """(the carries that contexts are read from [S, P, ...], the output of the whole past at each prediction [P, H])."""
    slots = np.full(inputs.shape, len(chosen), np.int32)  # out of range where nothing is stored
    slots[tuple(chosen.T)] = np.arange(len(chosen))
    carries, ys = _compiled_pass(opened, len(chosen))(params, carry, inputs, slots)
    elsewhere = jax.tree.map(lambda a: jnp.roll(a, len(chosen) // 2, axis=0), carries)
    return jax.tree.map(lambda *a: jnp.stack(a), elsewhere, model.initial_carry(params, (len(chosen),))), ys


@functools.cache
def _compiled_pass(opened: Opened, count: int) -> Callable:
    """(params, carry, inputs [T, B], slots [T, B]) -> carry and output [count, ...] after the steps with a slot."""

    def whole_text(params, carry, inputs, slots):
        def step(carry, token):
            return opened.cell.step(params.cell, carry, opened.embed(params, token))

        def body(state, slices):
            carry, stored = state
            token, slot = slices
            carry, y = step(carry, token)
            stored = jax.tree.map(lambda a, new: a.at[slot].set(new, mode="drop"), stored, (carry, y))
            return (carry, stored), None

        stored = jax.tree.map(
            lambda a: jnp.zeros((count, *a.shape[1:]), a.dtype), jax.eval_shape(step, carry, inputs[0])
        )
        return jax.lax.scan(body, (carry, stored), (inputs, slots))[0][1]

    return jax.jit(whole_text)


@functools.cache
def _compiled_reading(opened: Opened) -> Callable:
    """(params, starts [S, P, ...], ys [P, H], targets [P], windows [L, P], n) -> J_full [P], J_cut, distance [S, P].

    n, the number of last tokens that are read, is data: one compilation for all of them.
    """

    def reading(params, starts, ys, targets, windows, n):
        longest = len(windows)

        def body(s, state):
            xs = jnp.broadcast_to(
                opened.embed(params, windows[s]), (len(STARTS), *ys.shape[:1], opened.cell.input_size)
            )
            return opened.cell.step(params.cell, state[0], xs)

        outputs = jnp.zeros((len(STARTS), *ys.shape), ys.dtype)
        _, outputs = jax.lax.fori_loop(longest - n, longest, body, (starts, outputs))
        every = jnp.concatenate([ys[None], outputs])
        losses = -opened.log_probs(params, every, jnp.broadcast_to(targets, every.shape[:2]))
        apart = jnp.linalg.norm(outputs - ys, axis=-1)
        distance = jnp.where(apart == 0, 0, apart / jnp.linalg.norm(ys, axis=-1))
        return losses[0], losses[1:], distance

    return jax.jit(reading)


def _on_host(tree):
    return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def _paired(losses: Float[np.ndarray, "C P"], base: Float[np.ndarray, "P"]):
    """Mean difference, and its standard error."""
    differences = losses - base
    return differences.mean(-1), differences.std(-1, ddof=1) / np.sqrt(differences.shape[-1])


def _checked_lengths(contexts, shuffle_beyond) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns each n and each k; all n but the last for k that are not given."""
    contexts = checked_rising("contexts", contexts)
    if not contexts:
        raise UserError("contexts must be numbers of tokens, at least one, got none")
    ks = contexts[:-1] if shuffle_beyond is None else checked_rising("shuffle_beyond", shuffle_beyond)
    if ks and ks[-1] >= contexts[-1]:
        raise UserError(f"shuffle_beyond must be below the longest context, {contexts[-1]}, got {ks[-1]}")
    return contexts, ks


def _cut(tokens: TextIds, streams: int) -> np.ndarray:
    """Cuts a text into `streams` columns, each beginning with the token that its first prediction is made from."""
    tokens = np.atleast_1d(tokens)
    if streams == 1:
        return tokens
    if tokens.ndim != 1 or len(tokens) <= streams:
        raise UserError(f"streams must be parts of one text of more tokens, got {streams} of a text {tokens.shape}")
    length = (len(tokens) - 1) // streams
    return np.stack([tokens[b * length : (b + 1) * length + 1] for b in range(streams)], axis=1)


def _choose(shape, longest, count, generator) -> Int[np.ndarray, "P 2"]:
    """(i, b) of predictions with more than `longest` tokens before them, in the order of the text, stream by stream."""
    steps, batch_size = shape
    usable = max(0, steps - longest) * batch_size
    if usable < 2:
        raise UserError(
            f"this analysis needs two predictions after more than {longest} tokens, got a text of {steps} predictions"
        )
    drawn = np.sort(generator.choice(usable, size=min(count, usable), replace=False))
    b, i = np.divmod(drawn, steps - longest)
    return np.stack([i + longest, b], axis=1)


def _shuffled(windows: Int[np.ndarray, "L P"], k: int, generator) -> Int[np.ndarray, "L P"]:
    """Returns each context with all but its last k tokens in an order of its own."""
    far = len(windows) - k
    return np.concatenate([generator.permuted(windows[:far], axis=0), windows[far:]])
