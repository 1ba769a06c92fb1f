"""Our cells inside Flax nnx, and parameters to and from nnx's own cells.

    layer = flax.nnx.RNN(as_nnx(cell, params), time_major=True)      or inside flax.nnx.Bidirectional

Where nnx has the same recurrence, its parameters are blocks side by side as ours are:

    SimpleCell           dense_i: kernel, bias; dense_h: kernel
    GRUCell              dense_i: kernel, bias; dense_h: kernel        gates r, z, n
    OptimizedLSTMCell    dense_i: kernel; dense_h: kernel, bias        gates i, f, g, o
    LSTMCell             ii, if_, ig, io: kernel; hi, hf, hg, ho: kernel, bias

nnx's GRUCell lacks the bias b_hn inside the reset gate that its docstring has: n = tanh(x W_n + b_n + r * h W_hn).
That is our GRU with b_hn = 0: so it is read, and another b_hn is refused on the way out; `as_nnx` keeps every bias.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from lm_jax.cells import Cell, GRUParams, LSTMParams, RNNParams
from lm_jax.errors import UserError
from lm_jax.interop.linen import check_cell, checked_tensors, params_from_linen, params_to_linen
from lm_jax.types import Params


class Tensors(nnx.Module):
    """Named arrays, each an nnx.Param (nnx.Dict, of newer versions)."""

    def __init__(self, tensors: Mapping[str, jax.Array]):
        for name, tensor in tensors.items():
            setattr(self, name, nnx.Param(tensor))


class NNXCell(nnx.RNNCellBase):
    """One of our cells as an nnx cell, made by `as_nnx`; every array of the parameters is an nnx.Param."""

    def __init__(self, cell: Cell, params: Params):
        paths, self.structure = jax.tree_util.tree_flatten_with_path(params)
        names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in paths]
        self.cell = cell
        self.cell_params = Tensors({name: leaf for name, (_, leaf) in zip(names, paths, strict=True)})
        self.names = tuple(names)

    def params(self) -> Params:
        """Returns the parameters as they are now, in the cell's own tree."""
        return jax.tree.unflatten(self.structure, [getattr(self.cell_params, name)[...] for name in self.names])

    def __call__(self, carry, inputs):
        """(carry, inputs [*B, E]) -> (carry, y [*B, H]), one step."""
        return self.cell.step(self.params(), carry, inputs)

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        """Returns the cell's initial carry for inputs [*B, E].

        Args:
            input_shape: The shape of an input, [*B, E].
            rngs: Not used: nothing in the carry is drawn.
            carry_init: Not used.
        """
        del rngs, carry_init  # nothing in it is drawn
        return self.cell.initial_carry(self.params(), tuple(input_shape[:-1]))

    @property
    def num_feature_axes(self) -> int:
        """Inputs and outputs are vectors."""
        return 1


def as_nnx(cell: Cell, params: Params) -> NNXCell:
    """Makes a flax.nnx.RNNCellBase that drops any cell into `flax.nnx.RNN`: same outputs as
    `cell.unroll` without a key.

    nnx calls one `step` after another: the fused unroll and what only a key brings (dropout) are not there.
    With `return_carry` and `seq_lengths` nnx gives rows of length zero the carry after all of their padding.
    Raises UserError for what is no cell.
    """
    check_cell(cell)
    return NNXCell(cell, params)


def params_to_nnx(params: RNNParams | GRUParams | LSTMParams, *, split_gates: bool = False) -> dict[str, dict]:
    """Returns the parameters of nnx's SimpleCell, GRUCell or OptimizedLSTMCell, for `nnx.update(nnx_cell, ...)`.

    split_gates: for an LSTM, those of nnx's LSTMCell, which keeps every gate for itself.
    Raises UserError for parameters that no nnx cell has: another cell's, reset="before", or a b_hn that is not 0.
    """
    if isinstance(params, GRUParams) and params.b_hn is not None and jnp.any(params.b_hn != 0):
        raise UserError(
            "nnx's GRUCell has no bias on the recurrent product of n, so that b_hn must be 0, "
            f"got one of up to {jnp.max(jnp.abs(params.b_hn)):.3g}"
        )
    return _arranged(params, split_gates)


def params_from_nnx(cell: Cell, nnx_params: Mapping[str, Any]) -> Params:
    """Returns the parameters of our cell (`rnn`, `gru` or `lstm`) from those of nnx's; the b_hn of a GRU is 0.

    nnx_params: `nnx.to_pure_dict(nnx.state(nnx_cell, nnx.Param))`, as `params_to_nnx` gives it.
    Raises UserError, by name, for a tensor that is missing, that the cell does not have, or of another shape.
    """
    ours = jax.eval_shape(cell.init, jax.random.key(0))
    split_gates = isinstance(ours, LSTMParams) and isinstance(nnx_params, Mapping) and "dense_i" not in nnx_params
    expected = jax.eval_shape(lambda params: _arranged(params, split_gates), ours)
    tensors = checked_tensors(expected, nnx_params)
    if split_gates:
        return params_from_linen(cell, {name.removesuffix("_"): gate for name, gate in nnx_params.items()})
    w_x, w_h = tensors["dense_i", "kernel"], tensors["dense_h", "kernel"]
    if isinstance(ours, LSTMParams):
        return LSTMParams(w_x, w_h, tensors["dense_h", "bias"])
    if isinstance(ours, GRUParams):
        return GRUParams(w_x, w_h, tensors["dense_i", "bias"], jnp.zeros(w_h.shape[:1], w_h.dtype))
    return RNNParams(w_x, w_h, tensors["dense_i", "bias"])


def _arranged(params, split_gates):
    match params:
        case LSTMParams() if split_gates:
            return {"if_" if name == "if" else name: gate for name, gate in params_to_linen(params).items()}
        case LSTMParams():
            return {"dense_i": {"kernel": params.w_x}, "dense_h": {"kernel": params.w_h, "bias": params.b}}
        case GRUParams(b_hn=None):
            raise UserError(
                'nnx\'s GRUCell resets after the recurrent product, got parameters of a GRU with reset="before"'
            )
        case RNNParams() | GRUParams():
            return {"dense_i": {"kernel": params.w_x, "bias": params.b}, "dense_h": {"kernel": params.w_h}}
    raise UserError(f"nnx has cells like rnn, gru and lstm only, got parameters {type(params).__name__}")
