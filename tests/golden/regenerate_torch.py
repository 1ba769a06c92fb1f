"""Writes torch_recurrences.npz beside itself: torch's recurrent layers in float64, with their gradients.

Run by hand, with torch installed; no test imports it. For each of KINDS and each number of layers, the arrays named
`<kind>_<layers>/...` are

    x [T, B, E]; h0 and c0 [L, B, H]; y [T, B, H]; h and c, the last states
    weight_ih_l<k> [gates*H, E or H], weight_hh_l<k> [gates*H, H], bias_ih_l<k>, bias_hh_l<k> [gates*H]
    loss_y, loss_h, loss_c: the loss is the sum of outputs and last states, each entry times its entry here
    grad/<name>: the derivative of the loss by each of x, h0, c0 and the weights
"""

from pathlib import Path

import numpy as np
import torch


KINDS = {
    "rnn_tanh": (torch.nn.RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
    "gru": (torch.nn.GRU, {}),
    "lstm": (torch.nn.LSTM, {}),
}
E, H, T, B = 3, 4, 6, 2


def arrays_of(layer_class, options, layers):
    """Every array of one case, by name."""
    module = layer_class(E, H, layers, dtype=torch.float64, **options)
    names = ["h", "c"] if layer_class is torch.nn.LSTM else ["h"]
    inputs = {"x": torch.randn(T, B, E, dtype=torch.float64, requires_grad=True)}
    inputs |= {f"{n}0": torch.randn(layers, B, H, dtype=torch.float64, requires_grad=True) for n in names}
    states = tuple(inputs[f"{n}0"] for n in names)
    y, last = module(inputs["x"], states if len(states) > 1 else states[0])
    results = {"y": y, **dict(zip(names, last if isinstance(last, tuple) else (last,), strict=True))}
    weights = {f"loss_{n}": torch.randn_like(value) for n, value in results.items()}
    loss = sum((value * weights[f"loss_{n}"]).sum() for n, value in results.items())
    leaves = inputs | dict(module.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    gradients = {f"grad/{n}": g for n, g in zip(leaves, gradients, strict=True)}
    return {n: a.detach().numpy() for n, a in (leaves | results | weights | gradients).items()}


def main():
    """Writes the file."""
    torch.manual_seed(0)
    cases = {
        f"{kind}_{layers}/{name}": array
        for kind, (layer_class, options) in KINDS.items()
        for layers in (1, 2)
        for name, array in arrays_of(layer_class, options, layers).items()
    }
    np.savez_compressed(Path(__file__).with_name("torch_recurrences.npz"), **cases)


if __name__ == "__main__":
    main()
