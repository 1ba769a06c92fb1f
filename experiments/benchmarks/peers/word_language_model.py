"""The training step of torch's example word_language_model, for time_to_perplexity.py."""

import itertools
import time

from lm_jax.data import Batches


def text_batches(config, corpus) -> Batches:
    """Returns the chunks of the training text."""
    eol_id = corpus.vocabulary.eol_id
    return Batches(corpus.train, eol_id, config.batch_size, config.bptt, config.mode, config.seed)


def prepared_torch(config, corpus):
    """A function that does some steps in torch and returns seconds a step; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    size, rate, vocab_size = config.model.hidden_size, config.model.dropout, len(corpus.vocabulary)
    torch.manual_seed(0)
    embedding, recurrent = torch.nn.Embedding(vocab_size, size), torch.nn.LSTM(size, size)
    decoder, drop = torch.nn.Linear(size, vocab_size), torch.nn.Dropout(rate)
    for weight in (embedding.weight, decoder.weight):
        torch.nn.init.uniform_(weight, -0.1, 0.1)
    parameters = [p for module in (embedding, recurrent, decoder) for p in module.parameters()]
    tokens = torch.from_numpy(text_batches(config, corpus).epoch(0)[0].astype("int64"))
    places = itertools.cycle(range(0, len(tokens) - config.bptt - 1, config.bptt))
    carry = [torch.zeros(1, config.batch_size, size) for _ in range(2)]

    def step():
        start = next(places)
        inputs, targets = (tokens[start + k : start + k + config.bptt] for k in (0, 1))
        for p in parameters:
            p.grad = None
        ys, new = recurrent(drop(embedding(inputs)), [c.detach() for c in carry])
        loss = torch.nn.functional.cross_entropy(decoder(drop(ys)).flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.optimizer.clip)
        with torch.no_grad():
            for p in parameters:
                p.add_(p.grad, alpha=-config.optimizer.learning_rate)
        carry[:] = new

    def run(count):
        started = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - started) / count

    return run
