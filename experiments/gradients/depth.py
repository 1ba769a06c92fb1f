"""Does the gradient vanish in depth as it does in time, and do skip connections help there too?

    python experiments/gradients/depth.py     about 25 minutes on 2 CPU cores

Networks of 2 to 64 layers predict the next character from the last 16: feed-forward (64 tanh units a layer over the
concatenated embeddings) and convolutional (24 channels, causal, 3 wide; the last position predicts), with weights that
start uniform on +-1/sqrt(inputs), a common default, or orthogonal. With u the input of a layer and f what it computes:

    plain     u' = f(u)                  residual  u' = u + f(u)
    dense     u' = [u, f(u)]             highway   u' = t f(u) + (1 - t) u,  t = sigmoid(u W_t - 1)

Measured: the norm of the gradient of the loss by every layer's output at initialisation, and the loss on held-out text
after training.

Expected: plain networks lose a constant factor of the gradient per layer with the common default, so that the first of
64 layers gets next to nothing and deep ones do not learn; orthogonal weights put that off; with residual, highway and
dense connections the gradient is much the same at every layer and 64 layers learn as well as few. It is the problem
of recurrence in depth: there the same matrix is used at every step, here each layer has its own.
"""

import functools
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.gradients.depth_figures import CONNECTIONS, INITS, KINDS
from experiments.gradients.depth_findings import findings
from experiments.harness import Study
from lm_jax import initializers
from lm_jax.analysis.adjoint_scan import log_norm
from lm_jax.data import load_corpus
from lm_jax.report.study import remember


STUDY = Study(__doc__, __file__)
DEPTHS, SEEDS, STEPS, BATCH, RATE = (2, 4, 8, 16, 32, 64), 3, 400, 64, 1e-3
WINDOW, EMBEDDING, WIDE = 16, 8, 3


class Network(NamedTuple):
    """What is compiled: a kind, a connection, a number of layers and of characters."""

    kind: str
    connection: str
    depth: int
    types: int

    @property
    def width(self) -> int:
        """Units of a layer; where connections are dense, of the input of the first."""
        return KINDS[self.kind][0]

    @property
    def growth(self) -> int:
        """Units that a layer adds where connections are dense."""
        return KINDS[self.kind][1]

    @property
    def features(self) -> int:
        """Units that the softmax reads: with dense connections, all of them."""
        return self.width + (self.depth * self.growth if self.connection == "dense" else 0)


def draw(key, init: str, inputs: int, outputs: int):
    """A weight matrix."""
    if init == "orthogonal":
        return initializers.orthogonal()(key, (inputs, outputs), jnp.float32)
    return initializers.uniform(1 / math.sqrt(inputs))(key, (inputs, outputs), jnp.float32)


def create(network: Network, init: str, key) -> dict[str, Any]:
    """Parameters; those of the layers stacked, so that one program runs through any number of them."""
    keys = iter(jax.random.split(key, 4 * network.depth + 4))
    taps = WIDE if network.kind == "convolutional" else 1
    outputs = network.growth if network.connection == "dense" else network.width
    layers = []
    for depth in range(network.depth):
        inputs = network.width + (depth * network.growth if network.connection == "dense" else 0)
        w = draw(next(keys), init, taps * inputs, outputs).reshape(taps, inputs, outputs)
        layer = {"w": jnp.pad(w, ((0, 0), (0, network.features - inputs), (0, 0))), "b": jnp.zeros(outputs)}
        if network.connection == "highway":
            layer |= {"w_t": draw(next(keys), init, inputs, outputs), "b_t": jnp.full(outputs, -1.0)}
        layers.append(layer)
    first = EMBEDDING * (1 if network.kind == "convolutional" else WINDOW)
    return {
        "embedding": jax.random.normal(next(keys), (network.types, EMBEDDING)),
        "first": draw(next(keys), init, first, network.width),
        "layers": jax.tree.map(lambda *a: jnp.stack(a), *layers),
        "out": draw(next(keys), init, network.features, network.types),
    }


def loss(network: Network, params, windows, targets, nudges=None):
    """Mean cross-entropy in nats; nudges [L, B, ...] are added to what each layer hands on."""
    u = params["embedding"][windows]
    u = (u if network.kind == "convolutional" else u.reshape(len(u), -1)) @ params["first"]
    u = jnp.pad(u, [(0, 0)] * (u.ndim - 1) + [(0, network.features - network.width)])

    def layer(carry, slices):
        u, place = carry
        p, nudge = slices
        f = jnp.tanh(convolve(u, p["w"]) + p["b"])
        if network.connection == "residual":
            new = u + f
        elif network.connection == "highway":
            t = jax.nn.sigmoid(u @ p["w_t"] + p["b_t"])
            new = t * f + (1 - t) * u
        elif network.connection == "dense":
            new = jax.lax.dynamic_update_slice_in_dim(u, f, network.width + place * network.growth, axis=-1)
        else:
            new = f
        return (new if nudge is None else new + nudge, place + 1), None

    (u, _), _ = jax.lax.scan(layer, (u, 0), (params["layers"], nudges))
    logits = (u[:, -1] if network.kind == "convolutional" else u) @ params["out"]
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets))


def convolve(u, w):
    """Causal, over axis 1, for taps [K, inputs, outputs]; a product for one tap."""
    if len(w) == 1:
        return u @ w[0]
    padded = jnp.pad(u, ((0, 0), (len(w) - 1, 0), (0, 0)))
    return sum(padded[:, k : k + u.shape[1]] @ w[k] for k in range(len(w)))


@functools.partial(jax.jit, static_argnames="network")
@functools.partial(jax.vmap, in_axes=(None, None, 0))
def log_norms(network: Network, tokens, params):
    """Of every seed and layer the log norm of the gradient by its output, over a batch."""
    windows, targets = windows_at(tokens, jnp.arange(256) * ((len(tokens) - WINDOW - 1) // 256))
    positions = (WINDOW,) if network.kind == "convolutional" else ()
    nudges = jnp.zeros((network.depth, len(windows), *positions, network.features))
    return log_norm(jax.grad(lambda nudges: loss(network, params, windows, targets, nudges))(nudges), 1)


@functools.partial(jax.jit, static_argnames=("network", "steps"))
@functools.partial(jax.vmap, in_axes=(None, None, None, None, 0, 0))
def train(network: Network, steps: int, tokens, valid, params, key):
    """The loss on validation windows after Adam, of every seed."""
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATE))

    def step(state, k):
        params, opt_state = state
        starts = jax.random.randint(jax.random.fold_in(key, k), (BATCH,), 0, len(tokens) - WINDOW - 1)
        gradient = jax.grad(functools.partial(loss, network))(params, *windows_at(tokens, starts))
        updates, opt_state = optimizer.update(gradient, opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(steps))
    return loss(network, params, *windows_at(valid, jnp.arange(2048) * ((len(valid) - WINDOW - 1) // 2048)))


def windows_at(tokens, starts):
    """Windows [B, WINDOW] and the characters after them [B]."""
    return tokens[starts[:, None] + jnp.arange(WINDOW)], tokens[starts + WINDOW]


def measure(network: Network, init: str, seeds: int, steps: int, corpus, path) -> dict:
    """Both measurements of all seeds at once; each is kept in a file of its own."""

    keys, valid = jax.random.split(jax.random.key(0), seeds), jnp.asarray(corpus.valid)

    def initial():
        return jax.tree.map(lambda *a: jnp.stack(a), *[create(network, init, key) for key in keys])

    def trained():
        return {"valid_loss": train(network, steps, jnp.asarray(corpus.train), valid, initial(), keys)}

    norms = remember(path.with_suffix(".norms.json"), lambda: {"log_norms": log_norms(network, valid, initial())})
    return {**norms, "valid_loss": remember(path, trained)["valid_loss"]}


def measure_all(depths, seeds: int, steps: int, corpus, folder) -> list[dict]:
    """The parts of all networks."""
    found = []
    for kind, connection, depth, init in itertools.product(KINDS, CONNECTIONS, depths, INITS):
        path = folder / f"{kind}-{connection}-{depth}-{init}.json"
        network = Network(kind, connection, depth, len(corpus.vocabulary))
        if not path.exists():
            print(f"{kind}, {connection}, {depth} layers, {init}", flush=True)
        made = measure(network, init, seeds, steps, corpus, path)
        found.append({"kind": kind, "connection": connection, "depth": depth, "init": init, **made})
    return found


def run(arguments) -> dict:
    """Measures all networks."""
    depths, seeds, steps = ((3,), 1, 2) if arguments.smoke else (DEPTHS, SEEDS, STEPS)
    corpus = load_corpus()
    found = measure_all(depths, seeds, steps, corpus, arguments.runs)
    shares = np.bincount(corpus.train, minlength=len(corpus.vocabulary)) + 1.0
    unigram = float(-np.mean(np.log(shares / shares.sum())[corpus.valid]))
    return {"networks": found, "unigram_loss": unigram, "steps": steps}


if __name__ == "__main__":
    STUDY.main(run, findings)
