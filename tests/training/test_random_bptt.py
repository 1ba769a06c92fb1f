"""Random lengths of chunks: few sizes, nothing lost or repeated, and a learning rate in proportion."""

import functools
import itertools

import jax
import numpy as np
import optax
import pytest

from lm_jax.cells import rnn
from lm_jax.data import Batches
from lm_jax.data.batching import cut_streams
from lm_jax.models import recurrent_lm
from lm_jax.training import (
    LoopFunctions,
    Plan,
    Score,
    Training,
    build_train_steps,
    chunk_source,
    create_state,
    cross_entropy,
    fit,
    text_source,
)
from lm_jax.training.losses import Chunk


EOL = 0
TOKENS = np.random.default_rng(0).integers(0, 5, 1003).astype(np.int32)


@functools.cache
def batches(mode="stream", bptt=16, seed=0, random_bptt=True, batch_size=3):
    return Batches(TOKENS, EOL, batch_size, bptt, mode, seed, random_bptt)


both_modes = pytest.mark.parametrize("mode", ["stream", "sentence"])


@both_modes
@pytest.mark.parametrize("bptt", [1, 2, 3, 7, 16, 70])
@pytest.mark.parametrize("batch_size", [3, 4])
def test_the_lengths_of_an_epoch_add_up(mode, bptt, batch_size):
    """For even and odd numbers of steps alike, so that an epoch is as many steps and tokens as without."""
    plain = batches(mode, bptt, random_bptt=False, batch_size=batch_size)
    for seed, epoch in itertools.product(range(4), range(4)):
        varied = batches(mode, bptt, seed, batch_size=batch_size)
        lengths = varied.chunk_lengths(epoch)
        assert len(lengths) == varied.steps_per_epoch == plain.steps_per_epoch
        assert lengths.sum() == bptt * len(lengths) and lengths.min() >= 1
        deviations = {0, max(1, bptt // 8), bptt // 2}
        assert set(np.abs(lengths - bptt).tolist()) <= deviations  # five sizes to compile
    assert (plain.chunk_lengths(3) == bptt).all()


def test_the_lengths_do_vary():
    """Half of the pairs are as long as always, 45 % differ by an eighth, 5 % by a half: of 840 pairs, within five
    standard deviations."""
    lengths = np.concatenate([batches(seed=seed).chunk_lengths(epoch) for seed in range(8) for epoch in range(10)])
    sizes, counts = np.unique(lengths, return_counts=True)
    assert sizes.tolist() == [8, 14, 16, 18, 24] and counts[0] == counts[4] and counts[1] == counts[3]
    pairs = len(lengths) / 2
    for count, share in ((counts[0], 0.05), (counts[1], 0.45)):
        assert abs(count - share * pairs) < 5 * (share * (1 - share) * pairs) ** 0.5


def test_the_lengths_follow_from_the_seed_and_the_epoch():
    lengths = {(seed, epoch): tuple(batches(seed=seed).chunk_lengths(epoch)) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert len(set(lengths.values())) == 6
    anew = Batches(TOKENS, EOL, 3, 16, "stream", 1, True)
    assert tuple(anew.chunk_lengths(2)) == lengths[1, 2]


@both_modes
def test_every_token_is_a_target_once_an_epoch(mode):
    """And every chunk begins where the one before ended."""
    varied = batches(mode, 7)
    per_epoch = varied.steps_per_epoch
    for epoch in (0, 2):
        chunks = [varied.batch_at(step) for step in range(epoch * per_epoch, (epoch + 1) * per_epoch)]
        assert len({len(batch.inputs) for batch in chunks}) > 1
        for before, after in itertools.pairwise(chunks):
            np.testing.assert_array_equal(before.targets[-1], after.inputs[0])
        targets, masks = (np.concatenate([getattr(batch, name) for batch in chunks]) for name in ("targets", "mask"))
        columns = [targets[masks[:, k], k] for k in range(3)]
        if mode == "stream":
            for column, whole in zip(columns, cut_streams(TOKENS, 3, EOL).tokens.T, strict=True):
                np.testing.assert_array_equal(column, whole[1 : len(column) + 1])
        lines = sorted(line for column in columns for line in bytes(column.tolist()).split(bytes([EOL])))
        expected = sorted(bytes(TOKENS.tolist()).split(bytes([EOL])))
        assert sum(map(len, columns)) == 1003
        assert mode == "stream" or list(filter(None, lines)) == list(filter(None, expected))


RATE = 0.3
SGD = optax.sgd(RATE)
MODEL = recurrent_lm(5, rnn(3, 4))


def by_hand(state, varied, steps):
    """SGD over the chunks as the host cuts them, each with a learning rate in proportion to its length."""
    loss_fn = cross_entropy(MODEL)
    differentiate = jax.jit(jax.grad(loss_fn, has_aux=True))
    params, carry, tokens = state.params, state.carry, 0
    for step in range(steps):
        batch = varied.batch_at(step)
        if varied.mode == "stream" and step % varied.steps_per_epoch == 0:
            carry = MODEL.initial_carry(params, (varied.batch_size,))
        grads, (carry, tally) = differentiate(params, carry, Chunk(*batch), jax.random.key(0))
        scale = RATE * len(batch.inputs) / varied.bptt
        params = jax.tree.map(lambda p, g, scale=scale: p - scale * g, params, grads)
        tokens += int(tally.tokens)
    return params, carry, tokens


@both_modes
def test_training_takes_the_same_chunks(mode):
    """On the device, over an epoch and a bit, however the loop divides the steps into dispatches."""
    varied = batches(mode, 32)
    steps = varied.steps_per_epoch + 4
    lengths = np.concatenate([varied.chunk_lengths(0), varied.chunk_lengths(1)[:4]])
    assert len(set(lengths.tolist())) >= 3
    traces, loss_fn = [], cross_entropy(MODEL)

    def loss(params, carry, chunk, key, whole=None):
        traces.append(len(chunk.inputs))
        return loss_fn(params, carry, chunk, key)

    source = text_source(varied, MODEL)
    functions = LoopFunctions(validate=lambda params: Score(1.0, {}, ""), save=lambda *_: None)
    plan = Plan(steps=steps, log_every=1000, eval_every=1000)
    state = create_state(MODEL.init, source, SGD, 0)
    params, carry, tokens = by_hand(state, varied, steps)
    training = Training(state, source, plan, functions, lambda step: RATE)
    fit(training, build_train_steps(loss, source, SGD))
    state = training.state
    assert int(state.step) == steps and int(state.totals.tokens) == tokens
    assert int(state.position) == lengths[-4:].sum()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), state.params, params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), state.carry, carry)
    assert sorted(traces) == sorted(set(lengths.tolist()))  # each length is traced once


def test_the_learning_rate_is_in_proportion_to_the_length():
    """One step of 4 time steps, and the same one where 4 is twice what is usual."""
    streams = jax.tree.map(np.asarray, batches("stream", 4, random_bptt=False).epoch(0))
    changes = []
    for usual, length in ((4, None), (2, 4), (8, 4)):
        source = chunk_source(MODEL, batch_size=3, bptt=usual, steps_per_epoch=99)
        train_steps = build_train_steps(cross_entropy(MODEL), source, SGD)
        state = create_state(MODEL.init, source, SGD, 0)
        before = np.asarray(state.params.w_out)
        changes.append(np.asarray(train_steps(state, streams, 1, length=length).params.w_out) - before)
    np.testing.assert_allclose(changes[1], 2 * changes[0], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(changes[2], changes[0] / 2, rtol=1e-3, atol=1e-6)
    assert np.abs(changes[0]).max() > 1e-3
