"""Our cells inside Flax linen, and parameters to and from linen's own cells.

    layer = flax.linen.RNN(as_linen(cell), time_major=True)          or inside flax.linen.Bidirectional
    variables = {"params": {"cell": {"cell_params": params}}}        the cell's parameters, as `layer.init` makes them

Where linen has the same recurrence, parameters are converted, block by block and without rounding:

    SimpleCell                     i: kernel, bias; h: kernel
    GRUCell                        ir, iz, in: kernel, bias; hr, hz: kernel; hn: kernel, bias (our b_hn)
    LSTMCell, OptimizedLSTMCell    ii, if, ig, io: kernel; hi, hf, hg, ho: kernel, bias

The carry of linen's LSTM cells is (c, h), ours LSTMCarry(h, c). Linen's SimpleCell keeps its nonlinearity in the module
(`activation_fn`), as our `rnn` keeps its own in the factory: no parameters tell it.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict
from flax.traverse_util import flatten_dict

from lm_jax.cells import Cell, GRUParams, LSTMParams, RNNParams
from lm_jax.errors import UserError
from lm_jax.types import Params


class LinenCell(nn.RNNCellBase):
    """One of our cells as a linen cell, made by `as_linen`; its one parameter `cell_params` is the cell's own tree."""

    cell: Cell

    def setup(self):
        """Makes or finds the parameters."""
        self.cell_params = self.param("cell_params", self.cell.init)

    def __call__(self, carry, inputs):
        """(carry, inputs [*B, E]) -> (carry, y [*B, H]), one step."""
        return self.cell.step(self.cell_params, carry, inputs)

    @nn.nowrap
    def initialize_carry(self, rng, input_shape):
        """Returns the cell's initial carry for inputs [*B, E];
        outside of `init` and `apply` that of parameters from `rng`."""
        params = self.cell.init(rng) if self.scope is None else self.cell_params
        return self.cell.initial_carry(params, tuple(input_shape[:-1]))

    @property
    def num_feature_axes(self) -> int:
        """Inputs and outputs are vectors."""
        return 1


def as_linen(cell: Cell) -> LinenCell:
    """Makes a flax.linen.RNNCellBase that drops any cell into `flax.linen.RNN`: same outputs as
    `cell.unroll` without a key.

    linen calls one `step` after another: the fused unroll and what only a key brings (dropout) are not there.
    With `return_carry` and `seq_lengths` linen gives rows of length zero the carry after all of their padding.
    Raises UserError for what is no cell.
    """
    check_cell(cell)
    return LinenCell(cell)


def check_cell(cell: Cell) -> None:
    """Raises UserError for what is no cell: an encoder has no steps, and Flax makes its own of two layers."""
    if not isinstance(cell, Cell):
        raise UserError(f"a layer of Flax takes a Cell, which has steps, got {type(cell).__name__}")


def params_to_linen(params: RNNParams | GRUParams | LSTMParams) -> dict[str, dict[str, jax.Array]]:
    """Returns the parameters of linen's SimpleCell, GRUCell or LSTM cells, from those of our `rnn`, `gru` or `lstm`.

    Inside `flax.linen.RNN` they are variables["params"]["cell"].
    Raises UserError for parameters that no linen cell has, among them those of a GRU with reset="before".
    """
    match params:
        case RNNParams():
            return {"i": {"kernel": params.w_x, "bias": params.b}, "h": {"kernel": params.w_h}}
        case GRUParams(b_hn=None):
            raise UserError(
                'linen\'s GRUCell resets after the recurrent product, got parameters of a GRU with reset="before"'
            )
        case GRUParams():
            linen = {}
            for gate, w_x, w_h, b in _gates("rzn", params):
                linen |= {f"i{gate}": {"kernel": w_x, "bias": b}, f"h{gate}": {"kernel": w_h}}
            linen["hn"]["bias"] = params.b_hn
            return linen
        case LSTMParams():
            linen = {}
            for gate, w_x, w_h, b in _gates("ifgo", params):
                linen |= {f"i{gate}": {"kernel": w_x}, f"h{gate}": {"kernel": w_h, "bias": b}}
            return linen
    raise UserError(f"linen has cells like rnn, gru and lstm only, got parameters {type(params).__name__}")


def params_from_linen(cell: Cell, linen_params: Mapping[str, Any]) -> Params:
    """Returns the parameters of our cell (`rnn`, `gru` or `lstm`) from those of linen's, the dict
    `params_to_linen` gives.

    Raises UserError, by name, for a tensor that is missing, that the cell does not have, or of another shape.
    """
    ours = jax.eval_shape(cell.init, jax.random.key(0))
    tensors = checked_tensors(jax.eval_shape(params_to_linen, ours), linen_params)

    def blocks(gates, leaf):
        return jnp.concatenate([tensors[gate, leaf] for gate in gates], axis=-1)

    match ours:
        case RNNParams():
            return RNNParams(tensors["i", "kernel"], tensors["h", "kernel"], tensors["i", "bias"])
        case GRUParams():
            i, h = ("ir", "iz", "in"), ("hr", "hz", "hn")
            return GRUParams(blocks(i, "kernel"), blocks(h, "kernel"), blocks(i, "bias"), tensors["hn", "bias"])
        case LSTMParams():
            i, h = ("ii", "if", "ig", "io"), ("hi", "hf", "hg", "ho")
            return LSTMParams(blocks(i, "kernel"), blocks(h, "kernel"), blocks(h, "bias"))


def checked_tensors(expected: Mapping[str, Any], given: Mapping[str, Any]) -> dict[tuple[str, ...], jax.Array]:
    """Returns the given tensors by their paths, if they are the expected ones, in shape too.

    Raises UserError, by name, for a tensor that is missing, not expected, or of another shape; and for what is no dict.
    """
    if not isinstance(given, (dict, FrozenDict)):
        raise UserError(f"parameters must be a dict (of nnx: nnx.to_pure_dict), got {type(given).__name__}")
    wanted: dict[tuple[str, ...], Any] = flatten_dict(expected)
    given_tensors: dict[tuple[str, ...], Any] = flatten_dict(given)
    for path, tensor in wanted.items():
        if path not in given_tensors:
            raise UserError(f"the given parameters lack {'/'.join(path)}, of shape {tensor.shape}")
        if jnp.shape(given_tensors[path]) != tensor.shape:
            raise UserError(
                f"{'/'.join(path)} must have the shape {tensor.shape}, got {jnp.shape(given_tensors[path])}"
            )
    extra = sorted("/".join(path) for path in given_tensors.keys() - wanted.keys())
    if extra:
        raise UserError(f"the given parameters have {', '.join(extra)}, for which this cell has no place")
    return {path: jnp.asarray(tensor) for path, tensor in given_tensors.items()}


def _gates(names, params):
    """(name, w_x, w_h, b) of every gate."""
    blocks = (jnp.split(a, len(names), axis=-1) for a in (params.w_x, params.w_h, params.b))
    return zip(names, *blocks, strict=True)
