"""Writes torch_attention.npz beside itself: attention in torch, with the gradients that torch finds.

Run by hand, with torch installed; no test imports it. Two forms, written with torch's own modules and its masked fill
and softmax, in float64: "additive" (Bahdanau et al. 2015) and "multiplicative" (Luong et al. 2015, general). The arrays
of a form:

    <form>/memory [S, B, E], mask [S, B], query [B, H]; weights of the linear layers, [in, out]
    <form>/weights [B, S], context [B, E]
    <form>/d_<name>   gradients of sum(cos(context)) + sum(weights^2) by memory, query and each weight
"""

from pathlib import Path

import numpy as np
import torch


S, B, E, H, A = 6, 3, 4, 5, 7
LENGTHS = (6, 2, 4)


def linear(rows, columns):
    """A layer without bias in float64."""
    return torch.nn.Linear(rows, columns, bias=False, dtype=torch.float64)


class Additive(torch.nn.Module):
    """v . tanh(W_query q + W_memory m)."""

    def __init__(self):
        super().__init__()
        self.w_query, self.w_memory, self.v = linear(H, A), linear(E, A), linear(A, 1)

    def forward(self, query, memory):
        """Scores [B, S]."""
        return self.v(torch.tanh(self.w_query(query)[:, None] + self.w_memory(memory))).squeeze(-1)


class Multiplicative(torch.nn.Module):
    """q . W m."""

    def __init__(self):
        super().__init__()
        self.w = linear(E, H)

    def forward(self, query, memory):
        """Scores [B, S]."""
        return torch.bmm(self.w(memory), query[:, :, None]).squeeze(-1)


def arrays(form):
    """Everything of one form by name."""
    memory = torch.randn(S, B, E, dtype=torch.float64, requires_grad=True)
    query = torch.randn(B, H, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(S)[:, None] < torch.tensor(LENGTHS)
    rows = memory.transpose(0, 1)
    weights = torch.softmax(form(query, rows).masked_fill(~mask.T, -torch.inf), dim=-1)
    context = torch.bmm(weights[:, None], rows).squeeze(1)
    (torch.cos(context).sum() + (weights**2).sum()).backward()
    found = {"memory": memory, "query": query, "mask": mask, "weights": weights, "context": context}
    found |= {"d_memory": memory.grad, "d_query": query.grad}
    for name, layer in form.named_children():
        found[name] = layer.weight.T.squeeze(-1)
        found[f"d_{name}"] = layer.weight.grad.T.squeeze(-1)
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


if __name__ == "__main__":
    torch.manual_seed(0)
    forms = {"additive": Additive(), "multiplicative": Multiplicative()}
    found = {f"{name}/{key}": array for name, form in forms.items() for key, array in arrays(form).items()}
    np.savez_compressed(Path(__file__).with_name("torch_attention.npz"), **found)
