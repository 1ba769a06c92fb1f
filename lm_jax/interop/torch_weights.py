"""Weights of torch's `nn.RNN`, `nn.GRU` and `nn.LSTM`, to and from ours, as numpy arrays by torch's names.

    weight_ih_l<k>  [gates*H, E or H]    w_x, transposed           gates: rnn one; GRU r, z, n; LSTM i, f, g, o
    weight_hh_l<k>  [gates*H, H]         w_h, transposed
    bias_ih_l<k>, bias_hh_l<k>           b is their sum; for a GRU, b_hn is the part n of bias_hh, which stays apart
    ..._l<k>_reverse                     the same from right to left; such layers read both outputs of the one below

    one layer                    rnn, gru (reset="after"), lstm, or the `unidirectional` encoder of one
    layers                       stacked(cells), or `stacked_encoder` of encoders
    bidirectional=True           bidirectional(cell, cell), or `stacked_encoder` of these: never a stack inside of one

To torch the sum goes to bias_ih, and bias_hh is 0 but for b_hn. No parameters tell what a factory keeps: torch has the
nonlinearities tanh and relu, and stacks without residual connections.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells import Cell, GRUParams, LSTMParams, RNNParams
from lm_jax.cells.stack import StackParams
from lm_jax.encoders import BidirectionalParams, Encoder
from lm_jax.errors import UserError
from lm_jax.interop.linen import checked_tensors
from lm_jax.interop.safetensors_files import check_tensors
from lm_jax.interop.tensors import numpy_tensors, unwrapped
from lm_jax.types import Params


KINDS = (RNNParams, GRUParams, LSTMParams)


def params_to_torch(params: Params, prefix: str = "") -> dict[str, np.ndarray]:
    """Returns a state dict for torch's layers, from parameters of cells, stacks or encoders like theirs.

    prefix: before every name, "rnn." for the layers that a torch module keeps as its `rnn`.
    Raises UserError for parameters that no layers of torch have.
    """
    return {name: np.array(tensor, order="C") for name, tensor in _tensors(params, prefix).items()}


def params_from_torch(cell: Cell | Encoder, state_dict: Mapping[str, Any], prefix: str = "") -> Params:
    """Makes parameters of a cell or encoder from a state dict of torch's layers. Half precision becomes float32.

    Args:
        cell: a cell or encoder of ours.
        state_dict: arrays or torch tensors by name.
        prefix: of the names to read; other names belong to other modules and are ignored.

    Returns:
        The parameters.

    Raises:
        UserError: by name, for a tensor that is missing, that the cell does not have, of another shape, or not of
            floating point numbers; and for a cell or encoder that torch does not have.
    """
    check_tensors("state_dict", state_dict)
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    empty = jax.tree.map(lambda s: np.broadcast_to(np.zeros((), s.dtype), s.shape), shapes)
    prefix = unwrapped(prefix)
    given = numpy_tensors(state_dict, prefix)
    checked_tensors(_tensors(empty, prefix), given)
    tensors = {name: floats(name, tensor) for name, tensor in given.items()}
    cells, structure = jax.tree.flatten(shapes, is_leaf=lambda node: isinstance(node, KINDS))
    names = [name for _, name in _named_cells(empty)]
    read = [
        _cell_params(type(ours), *(tensors[prefix + tensor] for tensor in _names(name)))
        for ours, name in zip(cells, names, strict=True)
    ]
    return jax.tree.unflatten(structure, jax.tree.map(jnp.asarray, read))


def floats(name: str, tensor: np.ndarray) -> np.ndarray:
    """Returns a copy of the tensor in at least float32;
    raises UserError, by name, unless it holds floating point numbers."""
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        raise UserError(f"{name} must hold floating point numbers, got {tensor.dtype}")
    return tensor.astype(np.float64 if tensor.dtype == np.float64 else np.float32)


def _tensors(params, prefix):
    """Torch's tensors by name, of parameters whose arrays are numpy's or become so."""
    tensors = {}
    for cell_params, name in _named_cells(params):
        arrays = _torch_arrays(jax.tree.map(np.asarray, cell_params))
        tensors |= {prefix + tensor: array for tensor, array in zip(_names(name), arrays, strict=True)}
    return tensors


def _names(name):
    return [f"{tensor}_{name}" for tensor in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def _torch_arrays(params):
    """weight_ih, weight_hh, bias_ih, bias_hh."""
    zeros = np.zeros_like(params.b)
    if isinstance(params, GRUParams) and params.b_hn is not None:
        zeros = np.concatenate([zeros[: -len(params.b_hn)], params.b_hn])
    return params.w_x.T, params.w_h.T, params.b, zeros


def _cell_params(kind, w_ih, w_hh, b_ih, b_hh):
    make: Any = kind  # of numpy's arrays, which become JAX's later
    b = np.where(b_hh == 0, b_ih, b_ih + b_hh)  # the sum, but -0.0 + 0.0 would be 0.0
    if kind is GRUParams:
        n = 2 * w_hh.shape[1]
        return make(w_ih.T, w_hh.T, np.concatenate([b[:n], b_ih[n:]]), b_hh[n:])
    return make(w_ih.T, w_hh.T, b)


def _named_cells(params):
    """[(the parameters of a cell, "l<k>" or "l<k>_reverse")], in the order in which they are in the tree."""
    layers = _layers(params)
    _check_layers(layers)
    return [
        (cell, f"l{k}" + direction)
        for k, layer in enumerate(layers)
        for cell, direction in zip(layer, ("", "_reverse"), strict=False)
    ]


def _layers(params):
    """Returns a list of layers, each of them [forward] or [forward, backward]."""
    match params:
        case GRUParams(b_hn=None):
            raise UserError(
                'torch\'s GRU resets after the recurrent product, got parameters of a GRU with reset="before"'
            )
        case RNNParams() | GRUParams() | LSTMParams():
            return [[params]]
        case StackParams(cells=cells, gates=gates) if all(gate is None for gate in gates):
            return [layer for cell in cells for layer in _layers(cell)]
        case StackParams():
            raise UserError("torch stacks layers without highway connections, got parameters of a stack with gates")
        case BidirectionalParams(forward=forward, backward=backward):
            halves = [*_layers(forward), *_layers(backward)]
            if [len(half) for half in halves] != [1, 1]:
                raise UserError(
                    "a bidirectional layer of torch has one cell in each direction (stack encoders, not the cells "
                    f"inside), got {len(halves)} cells or layers"
                )
            return [[half for (half,) in halves]]
        case (_, *_) as encoders:
            return [layer for encoder in encoders for layer in _layers(encoder)]
    raise UserError(f"torch has layers like rnn, gru and lstm only, got parameters {type(params).__name__}")


def _check_layers(layers):
    """Layers of torch are of one kind, one size and as many directions, and read all of the layer below."""
    directions, first = len(layers[0]), layers[0][0]
    hidden_size = first.w_h.shape[0]
    for k, layer in enumerate(layers):
        input_size = first.w_x.shape[0] if k == 0 else directions * hidden_size
        for cell in layer:
            actual = (type(cell), len(layer), *cell.w_x.shape[:1], *cell.w_h.shape[:1])
            expected = (type(first), directions, input_size, hidden_size)
            if actual != expected:
                raise UserError(
                    f"layer {k} of torch's must be {_described(*expected)} like the first, got {_described(*actual)}"
                )


def _described(kind, directions, input_size, hidden_size):
    ways = "both directions" if directions == 2 else "one direction"
    return f"{kind.__name__.removesuffix('Params')} of {ways} from {input_size} to {hidden_size}"
