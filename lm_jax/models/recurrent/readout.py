"""The readout: the two sides of a recurrent model's cell, from tokens to inputs,
from outputs to probabilities of tokens.

A Readout owns the parameters that depend on the vocabulary; model.py has the one with a full softmax,
adaptive_softmax.py the one for large vocabularies.
"""

from collections.abc import Callable
from typing import NamedTuple

from lm_jax.models.language_model import EmbedFn, LogitsFn, LogProbsFn, VocabAxesFn
from lm_jax.types import Key, Params


class Readout(NamedTuple):
    """Pure functions over the parameters of a whole model, those of its cell at `params.cell`.

    init: (key_embedding, key_softmax, cell_params) -> params.
    embed: (params, tokens [*N]) -> inputs of the cell [*N, E], without dropout.
    logits: (params, ys [*N, H]) -> logits [*N, V].
    log_probs: (params, ys [*N, H], targets [*N]) -> log P(target) [*N] in nats, without the logits of everything.
    vocab_axes: params -> a tree like them with the vocabulary axis of every leaf, -1 for none.
    """

    init: Callable[[Key, Key, Params], Params]
    embed: EmbedFn
    logits: LogitsFn
    log_probs: LogProbsFn
    vocab_axes: VocabAxesFn
