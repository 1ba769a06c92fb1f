"""What was reported of JAX's cuDNN LSTM, as cases: each asks the kernel itself, `jax.experimental.rnn.lstm`.

jax#15183: gradients that are NaN, and outputs of ragged bidirectional batches that are not those of the reference.
jax#16138: wrong outputs with cuDNN before 8.8.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from experiments.accelerators.cases import Case
from experiments.accelerators.precision import error, run_on_host, verdict
from lm_jax.cells.lstm.cudnn import check_device
from lm_jax.machine.cudnn import OLDEST, cudnn_version, shown


E, H, T, B = 24, 32, 12, 5
LENGTHS = {"full": [T] * B, "ragged": [T, 3, T - 1, 1, 7], "a row of length zero": [T, 3, 0, 1, 7]}
BOUNDS = {"float32": 1e-4, "TF32": 2e-2}


def kernel(x, h, c, weights, lengths, bidirectional, precision):
    """Outputs, last h, last c by cuDNN."""
    from jax.experimental import rnn

    options = {"input_size": E, "hidden_size": H, "num_layers": 1, "dropout": 0.0, "bidirectional": bidirectional}
    return rnn.lstm(x, h, c, weights, lengths, precision=precision, **options)


def reference(x, h, c, weights, lengths, bidirectional):
    """The same from the equations, row by row and step by step."""
    from jax.experimental import rnn

    parts = rnn.unpack_lstm_weights(weights, E, H, 1, bidirectional)
    steps = np.arange(x.shape[1])[None, :, None] < np.asarray(lengths)[:, None, None]
    ys, hs, cs = [], [], []
    for direction in range(2 if bidirectional else 1):
        w = [part[direction] for part in parts]
        order = np.arange(x.shape[1])[:: -1 if direction else 1]
        state, out = (h[direction], c[direction]), [None] * x.shape[1]
        for t in order:
            real = steps[:, t]
            a_i, a_f, a_g, a_o = jnp.split(x[:, t] @ w[0].T + w[2] + state[0] @ w[1].T + w[3], 4, axis=-1)
            cell = jax.nn.sigmoid(a_f) * state[1] + jax.nn.sigmoid(a_i) * jnp.tanh(a_g)
            shown_ = jax.nn.sigmoid(a_o) * jnp.tanh(cell)
            state = jnp.where(real, shown_, state[0]), jnp.where(real, cell, state[1])
            out[t] = jnp.where(real, shown_, 0)
        ys.append(jnp.stack(out, axis=1))
        hs.append(state[0])
        cs.append(state[1])
    return jnp.concatenate(ys, axis=-1), jnp.stack(hs), jnp.stack(cs)


def drawn(bidirectional: bool):
    """(x, h, c, weights), float32."""
    from jax.experimental import rnn

    generator, directions = np.random.default_rng(0), 2 if bidirectional else 1
    count = rnn.get_num_params_in_lstm(E, H, 1, bidirectional)
    shapes = ((B, T, E), (directions, B, H), (directions, B, H), (count,))
    scales = (1.0, 0.3, 0.3, H**-0.5)
    return [(s * generator.normal(size=shape)).astype(np.float32) for s, shape in zip(scales, shapes, strict=True)]


def with_gradients(function):
    """(value, gradients by all four) of a sum that weights outputs and last states."""

    def loss(*arguments):
        returned = function(*arguments)
        generator = np.random.default_rng(5)
        total = sum(jnp.sum(a * generator.normal(size=a.shape).astype(a.dtype)) for a in returned)
        return total, returned

    return jax.value_and_grad(loss, (0, 1, 2, 3), has_aux=True)


def kernel_case(name: str, bidirectional: bool, form: str) -> Case:
    """Outputs, last states and gradients of the kernel."""
    lengths = np.array(LENGTHS[name], np.int32)
    precision = jax.lax.Precision.HIGHEST if form == "float32" else None

    def run():
        check_device()
        given = drawn(bidirectional)
        call = with_gradients(lambda *a: kernel(*a, jnp.asarray(lengths), bidirectional, precision))
        truth = run_on_host(with_gradients(lambda *a: reference(*a, lengths, bidirectional)), *given)
        found = jax.jit(call)(*given)
        finite = all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(found))
        return verdict(error(found, truth), BOUNDS[form]) | {"finite": finite}

    direction = "bidirectional" if bidirectional else "forward"
    return Case("right", f"cuDNN {direction}, {name}, {form}", 30.0, run, beside=True)


def version_case() -> Case:
    """The version of cuDNN: at least 8.8 (jax#16138)."""

    def run():
        check_device()
        version = cudnn_version()
        if version is None:
            return {"refused": "the version of cuDNN is not told"}
        return {"right": version >= OLDEST, "error": 0.0, "bound": 0.0, "found": shown(version)}

    return Case("right", "cuDNN is at least 8.8", 0.5, run, beside=True)


def cudnn_cases(platform: str) -> Iterator[Case]:
    """All of them; none where there is no GPU."""
    if platform != "gpu":
        return
    yield version_case()
    for form in BOUNDS:
        for name in LENGTHS:
            for bidirectional in (False, True):
                yield kernel_case(name, bidirectional, form)
