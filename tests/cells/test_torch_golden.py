"""Cells and plain stacks against torch's recurrent layers, by numbers that torch wrote in float64.

torch keeps its weights transposed and, for every layer, two biases where one does (but the GRU's of n); in their own
layout the gradients must agree as well, so the map onto our parameters is differentiated through.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import GRUParams, LSTMCarry, LSTMParams, RNNParams, gru, lstm, rnn, stacked
from lm_jax.cells.stack import StackParams


GOLDEN = Path(__file__).parents[1] / "golden" / "torch_recurrences.npz"
FACTORIES = {"rnn_tanh": rnn, "rnn_relu": lambda *sizes: rnn(*sizes, nonlinearity="relu"), "gru": gru, "lstm": lstm}


@pytest.fixture(scope="module")
def golden():
    """{case: {name: array}}."""
    cases = {}
    with np.load(GOLDEN) as file:
        for path, array in file.items():
            case, name = path.split("/", 1)
            cases.setdefault(case, {})[name] = array
    return cases


def layer_params(kind, torch, k):
    """Our parameters of layer k."""
    w_x, w_h = torch[f"weight_ih_l{k}"].T, torch[f"weight_hh_l{k}"].T
    b_x, b_h = torch[f"bias_ih_l{k}"], torch[f"bias_hh_l{k}"]
    if kind == "gru":  # the bias of the recurrent product of n is inside the reset gate
        size = w_h.shape[0]
        return GRUParams(w_x, w_h, b_x + b_h.at[2 * size :].set(0.0), b_h[2 * size :])
    return (LSTMParams if kind == "lstm" else RNNParams)(w_x, w_h, b_x + b_h)


def ours(kind, layers, torch):
    """{y, h, c} of the cell or stack, from torch's parameters, inputs and initial states."""
    size, input_size = torch["h0"].shape[-1], torch["x"].shape[-1]
    cells = [FACTORIES[kind](input_size if k == 0 else size, size) for k in range(layers)]
    params = tuple(layer_params(kind, torch, k) for k in range(layers))
    carry = tuple(
        LSTMCarry(torch["h0"][k], torch["c0"][k]) if kind == "lstm" else torch["h0"][k] for k in range(layers)
    )
    if layers == 1:
        last, ys = cells[0].unroll(params[0], carry[0], torch["x"])
        last = (last,)
    else:
        last, ys = stacked(cells).unroll(StackParams(params, (None,) * layers), carry, torch["x"])
    if kind != "lstm":
        return {"y": ys, "h": jnp.stack(last)}
    return {"y": ys, "h": jnp.stack([c.h for c in last]), "c": jnp.stack([c.c for c in last])}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", FACTORIES)
def test_outputs_and_gradients_equal_those_of_torch(golden, kind, layers, x64):
    arrays = golden[f"{kind}_{layers}"]
    gradients = {name.removeprefix("grad/"): array for name, array in arrays.items() if name.startswith("grad/")}
    leaves = {name: jnp.asarray(arrays[name]) for name in gradients}

    @jax.jit
    def pulled(leaves):
        results, pullback = jax.vjp(lambda leaves: ours(kind, layers, leaves), leaves)
        return results, pullback({name: jnp.asarray(arrays[f"loss_{name}"]) for name in results})[0]

    results, actual = pulled(leaves)
    for name, value in results.items():
        np.testing.assert_allclose(value, arrays[name], rtol=0, atol=1e-12, err_msg=name)
    for name, expected in gradients.items():
        np.testing.assert_allclose(actual[name], expected, rtol=0, atol=1e-10 * np.abs(expected).max(), err_msg=name)
