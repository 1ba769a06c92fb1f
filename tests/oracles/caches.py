"""Cache models in float64 numpy: loops over the history, from the equations. Nothing here knows lm_jax."""

import numpy as np


def histories(tokens, mask, reset):
    """For each step of one stream [T] the list of the steps read up to it, itself last, since the last reset.

    None where the step is masked.
    """
    read, result = [], []
    for t in range(len(tokens)):
        if not mask[t]:
            result.append(None)
            continue
        if reset[t]:
            read = []
        read.append(t)
        result.append(list(read))
    return result


def unigram_cache(read, vocab_size, size, pseudo_count, decay):
    """The distribution [V] of the next word after the words read, the last one last."""
    counts = np.zeros(vocab_size)
    for age, word in enumerate(reversed(read[-size:])):
        counts[word] += np.exp(-decay * age)
    return (counts + pseudo_count / vocab_size) / (counts.sum() + pseudo_count)


def continuous_cache(read, states, model_probs, size, theta, weight):
    """The distribution [V] of the next word after the words read and the states [n, H] after each of them."""
    cached = np.zeros_like(model_probs)
    for i in range(max(0, len(read) - 1 - size), len(read) - 1):
        cached[read[i + 1]] += np.exp(theta * states[-1] @ states[i])
    if cached.sum() == 0:
        return model_probs
    return (1 - weight) * model_probs + weight * cached / cached.sum()


def rnn_states(read, embedding, w_x, w_h, b):
    """The states [n, H] of a tanh RNN after each of the words read, from a state of zeros."""
    h, states = np.zeros(len(w_h)), []
    for word in read:
        h = np.tanh(embedding[word] @ w_x + h @ w_h + b)
        states.append(h)
    return np.array(states)


def softmax(logits):
    """exp(logits) / sum exp(logits)."""
    exps = np.exp(logits - logits.max())
    return exps / exps.sum()
