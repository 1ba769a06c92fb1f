"""The `cudnn` engine of the LSTM: NVIDIA's kernels by `jax.experimental.rnn`, in float32. NOT SHOWN TO BE RIGHT.

On an H200 (jax 0.11.2, cuDNN 9.19) its results were wrong, by more than they are large: XLA was free to hand over axes
in another order in memory (`row_major`). Since that was mended it has not run on a GPU:
`python experiments/accelerator.py --only cudnn` does. What is tested is all around the kernel: the layout of the
weights and the order of axes, against the reference that JAX keeps beside it. `auto` never chooses this engine. cuDNN
has two biases, of which the second is 0 here, weights [4H, E] and [4H, H] with our order of gates (i, f, g, o),
everything in one flat array, and batch before time. It knows no reset and no mask but a length: a call with either runs
on the plain scan. There is no forward mode, no second derivative and no `vmap`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Float

from lm_jax.cells.base import UnrollFn
from lm_jax.errors import UserError
from lm_jax.types import Params


def cudnn_unroll(input_size: int, hidden_size: int, compute_dtype: str | None, plain: UnrollFn) -> UnrollFn:
    """Makes the unroll of an LSTM on cuDNN.

    Args:
        input_size: E.
        hidden_size: H.
        compute_dtype: None or "float32".
        plain: The unroll of the same cell by `lax.scan`, for calls with a mask or resets.

    Raises:
        UserError: Without an NVIDIA GPU, and for another compute_dtype.
    """
    check_device()
    if compute_dtype not in (None, "float32"):
        raise UserError(f'recurrence "cudnn" computes in float32, got compute_dtype {compute_dtype}', ["compute_dtype"])

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        if mask is not None or reset is not None:
            return plain(params, carry, xs, mask=mask, reset=reset, key=key)
        from jax.experimental import rnn

        batch_shape = xs.shape[1:-1]
        h, c = (row_major(leaf.reshape(1, -1, hidden_size)) for leaf in carry)
        rows = row_major(jnp.swapaxes(xs.reshape(len(xs), -1, input_size), 0, 1))
        result: Any = rnn.lstm(
            rows,
            h,
            c,
            flat_weights(params),
            jnp.full((len(rows),), len(xs), jnp.int32),
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=1,
            dropout=0.0,
            bidirectional=False,
        )
        ys, h, c = map(row_major, result)
        h, c = (leaf.reshape(*batch_shape, hidden_size) for leaf in (h, c))
        return carry._replace(h=h, c=c), jnp.swapaxes(ys, 0, 1).reshape(*xs.shape[:-1], hidden_size)

    return unroll


def row_major(array: Array) -> Array:
    """The same array, and its gradient, as the kernel reads memory: the last axis next to each other, batch outermost.

    JAX does not tell XLA that the kernel wants it so, and XLA is then free to leave out the copy of a transposition.
    """
    return with_layout_constraint(jnp.asarray(array), Layout(tuple(range(array.ndim))))


def flat_weights(params: Params) -> Float[Array, "N"]:
    """LSTMParams as cuDNN reads them: W_ih [4H, E], W_hh [4H, H], b_ih [4H], b_hh [4H] (zeros), one after the other."""
    parts = (params.w_x.T, params.w_h.T, params.b, jnp.zeros_like(params.b))
    return jnp.concatenate([part.reshape(-1) for part in parts])


def check_device() -> None:
    """Raises UserError unless JAX runs on an NVIDIA GPU."""
    device = jax.devices()[0]
    if device.platform != "gpu" or "rocm" in device.client.platform_version.lower():
        raise UserError(f'recurrence "cudnn" needs an NVIDIA GPU, got {device.device_kind}')
