"""A model that can learn nothing learns one sentence by heart."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.cells import gru, lstm, rnn
from lm_jax.data import Batches, build_vocabulary
from lm_jax.inference import Sampler, generate
from lm_jax.models import recurrent_lm
from lm_jax.training import build_train_steps, create_state, cross_entropy, text_source


SENTENCE = "the quick brown fox jumps over the lazy dog and runs on\n"


@pytest.mark.parametrize(
    ("cell", "mode"), [pytest.param(rnn, "sentence", marks=pytest.mark.slow), (gru, "stream"), (lstm, "sentence")]
)
def test_one_sentence_is_learned_by_heart(cell, mode):
    vocabulary = build_vocabulary("char", SENTENCE)
    batches = Batches(vocabulary.encode(SENTENCE), vocabulary.eol_id, 1, 14, mode)  # in 4 chunks, or 5 and padding
    model = recurrent_lm(len(vocabulary), cell(16, 32))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
    source, per_epoch = text_source(batches, model), batches.steps_per_epoch
    train_steps = build_train_steps(cross_entropy(model), source, optimizer)
    state = create_state(model.init, source, optimizer, 0)
    streams = jax.tree.map(jnp.asarray, source.epoch(0))
    state = train_steps(state, streams, 120 * per_epoch)
    before = np.asarray(state.totals.nll)
    state = train_steps(state, streams, per_epoch)
    assert float(state.totals.nll - before) / len(SENTENCE) < 0.1
    tokens = generate(
        model,
        state.params,
        [],
        len(SENTENCE),
        jax.random.key(0),
        eol_id=vocabulary.eol_id,
        sampler=Sampler(greedy=True),
    )
    assert vocabulary.decode(tokens[:, 0]) == SENTENCE
