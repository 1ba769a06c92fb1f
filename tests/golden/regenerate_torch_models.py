"""Writes torch_models.npz beside itself: state dicts of torch with the outputs of their modules.

Run by hand, with torch installed; no test imports it. Weights are float32, as torch keeps them; outputs are computed
from them in float64, so that a difference of the test is its own rounding. The arrays of a case:

    bidirectional/<kind>_<layers>/...    state/<name>; x [T, B, E]; y [T, B, 2H];
                                         lengths [B] and y_packed, outputs of the sequences packed, padded with zeros
    model/<kind>_<layers>/...            state/<name> of a `word_language_model`; tokens [T, B]; log_probs [T, B, V]
    model/<kind>_<layers>_tied/...       its decoder.weight is its encoder.weight
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
V, E, H, T = 7, 3, 4, 6
LENGTHS = torch.tensor([6, 2, 4])
B = len(LENGTHS)


class LanguageModel(torch.nn.Module):
    """The modules of the example `word_language_model`, under its names."""

    def __init__(self, kind, embedding_size, layers, tied):
        super().__init__()
        layer_class, options = KINDS[kind]
        self.encoder = torch.nn.Embedding(V, embedding_size)
        self.rnn = layer_class(embedding_size, H, layers, **options)
        self.decoder = torch.nn.Linear(H, V)
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, tokens):
        """Tokens [T, B] to log P of the next [T, B, V]."""
        return torch.log_softmax(self.decoder(self.rnn(self.encoder(tokens))[0]), dim=-1)


def state_of(module):
    """The weights, in float32; the module goes on in float64."""
    state = {f"state/{name}": tensor.numpy().copy() for name, tensor in module.state_dict().items()}
    module.double()
    return state


def bidirectional(kind, layers):
    """The arrays of one encoder."""
    layer_class, options = KINDS[kind]
    module = layer_class(E, H, layers, bidirectional=True, **options)
    state = state_of(module)
    x = torch.randn(T, B, E)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x.double(), LENGTHS, enforce_sorted=False)
    y_packed, _ = torch.nn.utils.rnn.pad_packed_sequence(module(packed)[0])
    return {**state, "x": x, "y": module(x.double())[0], "lengths": LENGTHS, "y_packed": y_packed}


def language_model(kind, layers, tied):
    """The arrays of one language model."""
    module = LanguageModel(kind, H if tied else E, layers, tied)
    state = state_of(module)
    tokens = torch.randint(V, (T, B))
    return {**state, "tokens": tokens, "log_probs": module(tokens)}


def main():
    """Writes the file."""
    torch.manual_seed(0)
    with torch.no_grad():
        cases = {f"bidirectional/{kind}_{layers}": bidirectional(kind, layers) for kind in KINDS for layers in (1, 2)}
        cases |= {f"model/{kind}_2": language_model(kind, 2, tied=False) for kind in KINDS}
        cases |= {f"model/{kind}_1_tied": language_model(kind, 1, tied=True) for kind in ("gru", "lstm")}
    arrays = {f"{case}/{name}": np.asarray(a) for case, arrays in cases.items() for name, a in arrays.items()}
    np.savez_compressed(Path(__file__).with_name("torch_models.npz"), **arrays)


if __name__ == "__main__":
    main()
