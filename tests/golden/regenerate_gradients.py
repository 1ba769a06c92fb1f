"""Writes torch_gradient_flow.npz beside itself: gradients on recurrent edges by torch's autograd, in float64.

Run by hand, with torch installed; no test imports it. A language model of torch's cells, one layer or two, on one
batch of tokens. After each step a leaf of zeros is added to the copy of the state that goes to the next step; the
layer above, or the softmax, gets the state itself. So the derivative by the leaf is that on the recurrent edge, and
for an LSTM that by c has h held. The arrays, named `<kind>_<layers>/...`:

    inputs, targets [T, B]; embedding [V, E]; w_out [H, V]; b_out [V]
    weight_ih_l<k> [gates*H, E or H], weight_hh_l<k> [gates*H, H], bias_ih_l<k>, bias_hh_l<k> [gates*H]
    output [B, T]: ||dJ_i/dy_i||; g/<k>/<leaf> [B, T, T]: G of layer k, 0 for j >= i
"""

from pathlib import Path

import numpy as np
import torch


KINDS = {"rnn": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
V, E, H, T, B = 5, 3, 4, 7, 2


def forward(cells, embedding, readout, inputs, targets):
    """Losses [T] of [B], outputs [T], and the leaves added: edges[layer][leaf][step]."""
    names = "hc" if isinstance(cells[0], torch.nn.LSTMCell) else "h"
    states = [[torch.zeros(B, H, dtype=torch.float64) for _ in names] for _ in cells]
    edges = [{name: [] for name in names} for _ in cells]
    losses, ys = [], []
    for token, target in zip(inputs, targets, strict=True):
        u = embedding[token]
        for k, cell in enumerate(cells):
            new = cell(u, tuple(states[k]) if len(names) > 1 else states[k][0])
            new = new if isinstance(new, tuple) else (new,)
            u = new[0]
            for place, name in enumerate(names):
                leaf = torch.zeros(B, H, dtype=torch.float64, requires_grad=True)
                edges[k][name].append(leaf)
                states[k][place] = new[place] + leaf
        ys.append(u)
        losses.append(torch.nn.functional.cross_entropy(readout(u), target, reduction="none"))
    return losses, ys, edges


def arrays_of(cell_class, layers):
    """Every array of one case, by name."""
    cells = [cell_class(E if k == 0 else H, H, dtype=torch.float64) for k in range(layers)]
    for cell in cells:
        for weight in cell.parameters():
            torch.nn.init.normal_(weight, std=0.7)
    embedding, readout = torch.randn(V, E, dtype=torch.float64), torch.nn.Linear(H, V, dtype=torch.float64)
    inputs, targets = torch.randint(V, (T, B)), torch.randint(V, (T, B))
    losses, ys, edges = forward(cells, embedding, readout, inputs, targets)
    arrays = {"inputs": inputs, "targets": targets, "embedding": embedding}
    arrays |= {"w_out": readout.weight.T, "b_out": readout.bias, "output": torch.zeros(B, T)}
    for k, cell in enumerate(cells):
        arrays |= {f"{name}_l{k}": weight for name, weight in cell.named_parameters()}
    arrays = {name: array.detach().numpy().copy() for name, array in arrays.items()}
    arrays["output"] = np.zeros((B, T))
    for i, loss in enumerate(losses):
        arrays["output"][:, i] = torch.autograd.grad(loss.sum(), ys[i], retain_graph=True)[0].norm(dim=-1)
        for k, layer in enumerate(edges):
            for name, leaves in layer.items():
                norms = arrays.setdefault(f"g/{k}/{name}", np.zeros((B, T, T)))
                for j, gradient in enumerate(
                    torch.autograd.grad(loss.sum(), leaves[:i], retain_graph=True) if i else []
                ):
                    norms[:, i, j] = gradient.norm(dim=-1)
    return arrays


def main():
    """Writes the file."""
    torch.manual_seed(0)
    cases = {
        f"{kind}_{layers}/{name}": array
        for kind, cell_class in KINDS.items()
        for layers in (1, 2)
        for name, array in arrays_of(cell_class, layers).items()
    }
    np.savez_compressed(Path(__file__).with_name("torch_gradient_flow.npz"), **cases)


if __name__ == "__main__":
    main()
