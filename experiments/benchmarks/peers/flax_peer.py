"""Flax's side of `speed.py`: linen and nnx recurrent layers, and an nnx language model trained with optax."""

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.benchmarks.peers.work import CLIP, LEARNING_RATE, Contender, Layers, Step
from experiments.harness.timing import timed


LINEN = {"rnn": linen.SimpleCell, "gru": linen.GRUCell, "lstm": linen.OptimizedLSTMCell}
NNX = {"rnn": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.OptimizedLSTMCell}


class LinenLayers(linen.Module):
    """linen.RNN over linen.RNN."""

    work: Layers

    @linen.compact
    def __call__(self, xs):
        """xs [T, B, H] to ys."""
        for _ in range(self.work.layers):
            xs = linen.RNN(LINEN[self.work.cell](self.work.units), time_major=True)(xs)
        return xs


class NnxLayers(nnx.Module):
    """nnx.RNN over nnx.RNN."""

    def __init__(self, cell, count, units, rate, rngs):
        self.rnns = nnx.List(nnx.RNN(NNX[cell](units, units, rngs=rngs), time_major=True) for _ in range(count))
        self.drop = nnx.Dropout(rate, rngs=rngs)

    def __call__(self, xs, carries):
        """xs [T, B, H] to ys and the last carries."""
        last = []
        for layer, rnn in enumerate(self.rnns):
            xs = xs if layer == 0 else self.drop(xs)
            carry, xs = rnn(xs, initial_carry=carries[layer], return_carry=True)
            last.append(carry)
        return xs, last


def _contender(loss, params, xs, direction):
    function = jax.grad(loss, (0, 1)) if direction == "both" else loss
    took, compiled = timed(lambda: jax.jit(function).lower(params, xs).compile())
    return Contender(lambda: jax.block_until_ready(compiled(params, xs)), compile_seconds=took)


def linen_layers(work: Layers) -> Contender:
    """linen.RNN."""
    xs, weights = jnp.asarray(np.random.default_rng(0).normal(size=(2, work.steps, work.batch, work.units)), "float32")
    module = LinenLayers(work)
    params = module.init(jax.random.key(0), xs)
    return _contender(lambda p, x: jnp.sum(weights * module.apply(p, x)), params, xs, work.direction)


def nnx_layers(work: Layers) -> Contender:
    """nnx.RNN, its state split off so that it costs nothing at a call."""
    xs, weights = jnp.asarray(np.random.default_rng(0).normal(size=(2, work.steps, work.batch, work.units)), "float32")
    module = NnxLayers(work.cell, work.layers, work.units, 0.0, nnx.Rngs(0))
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    zeros = jnp.zeros((work.batch, work.units))
    carries = [(zeros, zeros) if work.cell == "lstm" else zeros] * work.layers  # the module's own need a generator
    return _contender(
        lambda p, x: jnp.sum(weights * nnx.merge(graph, p, rest)(x, carries)[0]), params, xs, work.direction
    )


class NnxLanguageModel(nnx.Module):
    """Embedding, nnx.RNN, linear, with dropout between."""

    def __init__(self, work: Step, rngs):
        self.embedding = nnx.Embed(work.vocab_size, work.units, rngs=rngs)
        self.drop = nnx.Dropout(work.dropout, rngs=rngs)
        self.layers = NnxLayers("lstm", work.layers, work.units, work.dropout, rngs)
        self.tied = work.tied
        self.decoder = None if work.tied else nnx.Linear(work.units, work.vocab_size, rngs=rngs)

    def __call__(self, tokens, carries):
        """Logits [T, B, V] and the carries."""
        ys, carries = self.layers(self.drop(self.embedding(tokens)), carries)
        ys = self.drop(ys)
        return self.embedding.attend(ys) if self.tied else self.decoder(ys), carries


def step(work: Step) -> Contender:
    """A training step under nnx.jit, its carry kept from step to step."""
    model = NnxLanguageModel(work, nnx.Rngs(0))
    optimizer = nnx.Optimizer(
        model, optax.chain(optax.clip_by_global_norm(CLIP), optax.sgd(LEARNING_RATE)), wrt=nnx.Param
    )
    tokens = np.random.default_rng(0).integers(0, work.vocab_size, (work.steps + 1, work.batch))
    tokens = jnp.asarray(tokens, jnp.int32)
    zeros = jnp.zeros((work.batch, work.units))

    @nnx.jit
    def train(model, optimizer, carries, tokens):
        def loss(model):
            logits, last = model(tokens[:-1], carries)
            return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[1:]).mean(), last

        (value, last), grads = nnx.value_and_grad(loss, has_aux=True)(model)
        optimizer.update(model, grads)
        return value, last

    box = [[(zeros, zeros)] * work.layers]

    def run():
        value, box[0] = train(model, optimizer, box[0], tokens)
        jax.block_until_ready(value)

    return Contender(run, compile_seconds=timed(run)[0])
