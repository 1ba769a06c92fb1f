"""The problems without words of long_distance.py: adding, copy and delayed echo."""

import functools

import jax
import jax.numpy as jnp
import optax

from lm_jax.config import CELLS
from lm_jax.report.study import remember


SYMBOLS = 8
COPIED = 5
PROBLEMS = {
    "adding": "adding: variance explained",
    "copy": "copy: share of symbols right",
    "echo": "delayed echo: share of symbols right",
}


def draw_batch(problem, delay, batch_size, key):
    """Inputs [T, B, E], targets [T, B] and the weight [T] of each step."""
    keys = jax.random.split(key, 3)
    if problem == "adding":
        values = jax.random.uniform(keys[0], (delay, batch_size))
        first = jax.random.randint(keys[1], (batch_size,), 0, delay // 2)
        second = jax.random.randint(keys[2], (batch_size,), delay // 2, delay)
        marks = jax.nn.one_hot(first, delay, axis=0) + jax.nn.one_hot(second, delay, axis=0)
        targets = jnp.broadcast_to(jnp.sum(marks * values, axis=0), (delay, batch_size))
        return jnp.stack([values, marks], axis=-1), targets, jnp.arange(delay) == delay - 1
    length = COPIED if problem == "copy" else 2 * delay
    symbols = jax.random.randint(keys[0], (length, batch_size), 0, SYMBOLS)
    if problem == "copy":  # symbols, silence, a signal at each step of the recall
        silence = jnp.full((delay, batch_size), SYMBOLS)
        tokens = jnp.concatenate([symbols, silence, jnp.full((COPIED, batch_size), SYMBOLS + 1)])
        targets = jnp.concatenate([jnp.zeros((COPIED + delay, batch_size), jnp.int32), symbols])
        return jax.nn.one_hot(tokens, SYMBOLS + 2), targets, jnp.arange(len(tokens)) >= COPIED + delay
    return jax.nn.one_hot(symbols, SYMBOLS + 2), jnp.roll(symbols, delay, axis=0), jnp.arange(length) >= delay


def network_of(problem, cell, hidden):
    """(key -> parameters, parameters and inputs -> outputs) of a cell under a linear layer."""
    sizes = (hidden, 1 if problem == "adding" else SYMBOLS)

    def init(key, key_out):
        return {"cell": cell.init(key), "w": 0.1 * jax.random.normal(key_out, sizes), "b": jnp.zeros(sizes[1])}

    def outputs(params, xs):
        carry = cell.initial_carry(params["cell"], xs.shape[1:2])
        return cell.unroll(params["cell"], carry, xs)[1] @ params["w"] + params["b"]

    return init, outputs


def judge(problem, ys, targets):
    """Of every output [T, B] the error, and how right it is: 1 is best, 0 that of the mean, or wrong."""
    if problem == "adding":
        squares = jnp.square(ys[..., 0] - targets)
        return squares, 1 - squares / (1 / 6)  # the variance of a sum of two
    return optax.softmax_cross_entropy_with_integer_labels(ys, targets), ys.argmax(-1) == targets


def solve(problem, cell_name, delay, seeds, smoke):
    """How well networks of this cell do after training on one delay: {"score": [seeds]}."""
    print(f"{problem}, delay {delay}, {cell_name}", flush=True)
    hidden, steps, batch_size = (8, 3, 4) if smoke else (64, 600, 32)
    cell = CELLS[cell_name].make()(2 if problem == "adding" else SYMBOLS + 2, hidden, recurrence="scan")
    init, outputs = network_of(problem, cell, hidden)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(5e-3, steps, 0.1)))

    def measure(params, key, count):  # means over the steps that have a weight
        xs, targets, weight = draw_batch(problem, delay, count, key)
        found = judge(problem, outputs(params, xs), targets)
        return [jnp.sum(values * weight[:, None]) / (jnp.sum(weight) * count) for values in found]

    def update(state, key):
        gradient = jax.grad(lambda params: measure(params, key, batch_size)[0])(state[0])
        changes, moments = optimizer.update(gradient, state[1])
        return (optax.apply_updates(state[0], changes), moments), None

    @jax.jit
    def run(key):
        keys = jax.random.split(key, 4)
        params = init(keys[0], keys[1])
        state, _ = jax.lax.scan(update, (params, optimizer.init(params)), jax.random.split(keys[2], steps))
        return measure(state[0], keys[3], 512)[1]

    return {"score": [float(run(key)) for key in jax.random.split(jax.random.key(0), seeds)]}


def solve_all(cells, delays, seeds, smoke, runs):
    """Scores by problem, cell and delay."""

    def part(problem, cell, d):
        compute = functools.partial(solve, problem, cell, d, seeds, smoke)
        return remember(runs / f"{problem}-{cell}-{d}-{seeds}.json", compute)

    return {problem: {cell: {str(d): part(problem, cell, d) for d in delays} for cell in cells} for problem in PROBLEMS}
