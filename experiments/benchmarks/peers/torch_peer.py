"""torch's side of `speed.py`: modules and a loop as its own word_language_model example has them."""

import torch
from torch import nn

from experiments.benchmarks.peers.work import CLIP, LEARNING_RATE, Contender, Generation, Layers, Step


KINDS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def wait(device):
    """Until the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()


def layers(work: Layers, compiled: bool = False, device: str = "cpu", dtype=torch.float32) -> Contender:
    """nn.RNN, nn.GRU or nn.LSTM."""
    torch.manual_seed(0)
    module = KINDS[work.cell](work.units, work.units, work.layers).to(device, dtype)
    xs = torch.randn(work.steps, work.batch, work.units, device=device, dtype=dtype, requires_grad=True)
    weights = torch.randn(work.steps, work.batch, work.units, device=device, dtype=dtype)
    forward = torch.compile(module) if compiled else module

    def both():
        xs.grad = None
        module.zero_grad(set_to_none=True)
        forward(xs)[0].backward(weights)
        wait(device)

    def alone():
        with torch.no_grad():
            (forward(xs)[0] * weights).sum()
        wait(device)

    return Contender(both if work.direction == "both" else alone)


class LanguageModel(nn.Module):
    """Embedding, LSTM, linear, with dropout between."""

    def __init__(self, work: Step | Generation):
        super().__init__()
        rate = getattr(work, "dropout", 0.0)
        self.drop = nn.Dropout(rate)
        self.embedding = nn.Embedding(work.vocab_size, work.units)
        self.rnn = nn.LSTM(work.units, work.units, work.layers, dropout=rate)
        self.decoder = nn.Linear(work.units, work.vocab_size)
        if getattr(work, "tied", False):
            self.decoder.weight = self.embedding.weight

    def forward(self, tokens, carry):
        """Logits [T * B, V] and the carry."""
        ys, carry = self.rnn(self.drop(self.embedding(tokens)), carry)
        return self.decoder(self.drop(ys)).flatten(0, 1), carry


def step(work: Step, compiled: bool = False, device: str = "cpu", dtype=torch.float32) -> Contender:
    """A training step, eager or compiled."""
    torch.manual_seed(0)
    model = LanguageModel(work).to(device, dtype)
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    tokens = torch.randint(0, work.vocab_size, (work.steps + 1, work.batch), device=device)
    zeros = torch.zeros(work.layers, work.batch, work.units, device=device, dtype=dtype)
    box = [(zeros, zeros)]

    def run():
        optimizer.zero_grad(set_to_none=True)
        logits, carry = forward(tokens[:-1], box[0])
        nn.functional.cross_entropy(logits, tokens[1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        box[0] = tuple(part.detach() for part in carry)
        wait(device)

    return Contender(run)


def generation(work: Generation) -> Contender:
    """A Python loop of steps and torch.multinomial."""
    torch.manual_seed(0)
    model = LanguageModel(work).eval()

    def run():
        with torch.no_grad():
            zeros = torch.zeros(work.layers, 1, work.units)
            token, carry = torch.zeros(1, 1, dtype=torch.long), (zeros, zeros)
            for _ in range(work.tokens):
                logits, carry = model(token, carry)
                token = torch.multinomial(torch.softmax(logits, -1), 1)

    return Contender(run, work.tokens)
