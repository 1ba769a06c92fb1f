"""Translators: the equations of their decoders, padding that changes nothing, and the search of language models."""

from collections import namedtuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import gru, rnn
from lm_jax.cells.base import select
from lm_jax.encoders import bidirectional, unidirectional
from lm_jax.errors import UserError
from lm_jax.inference import beam_search, generate, likelihood
from lm_jax.models.conditional import Conditioned, Sizes, conditional_lm, decoder_input_size
from lm_jax.models.source_readers import frame_reader, reversed_rows
from lm_jax.models.translator import encoder_decoder, translator
from lm_jax.training.pairs import as_pairs, translation_loss
from tests.oracles.decoders import decode


V, E, R, MEMORY = 6, 3, 4, 4
FORMS = {
    "plain": ("plain", True),
    "additive": ("additive", True),
    "multiplicative": ("multiplicative", True),
    "late": ("multiplicative", False),
}
LENGTHS = np.array([5, 1, 3])
GENERATOR = np.random.default_rng(0)
SOURCE = GENERATOR.integers(0, 7, (5, 3)).astype(np.int32)
MASK = np.arange(5)[:, None] < LENGTHS
TARGET_LENGTHS = np.array([4, 2, 1])
TARGET = GENERATOR.integers(0, V, (4, 3)).astype(np.int32)
ENCODER = bidirectional(gru(3, 2), gru(3, 2))

Case = namedtuple("Case", "form feeding model params unroll")


def decoder(form, feeding, tied=False, **options):
    size = decoder_input_size(form, Sizes(E, MEMORY, E if tied else R), feeding)
    options = {"readout_size": None if tied else R, "forward_size": 2, "tied": tied, **options}
    return conditional_lm(
        V, rnn(size, 5, recurrence="scan"), MEMORY, form=form, input_feeding=feeding, embedding_size=E, **options
    )


@pytest.fixture(  # "late" has this attention too, and "additive" feeds its inputs
    scope="module", params=[pytest.param(form, marks=[pytest.mark.slow] * (form == "multiplicative")) for form in FORMS]
)
def case(request):
    """A translator of each form with normal parameters, biases too."""
    form, feeding = FORMS[request.param]
    model = translator(7, ENCODER, decoder(form, feeding, tied=form == "plain"))
    drawn, shapes = np.random.default_rng(1), jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: drawn.normal(size=leaf.shape).astype(np.float32), shapes)

    @jax.jit
    def unroll(params, source, mask, target):
        conditioned = model.condition(params, source, mask=mask)
        carry = model.decoder.initial_carry(conditioned, target.shape[1:])
        return conditioned, *model.decoder.unroll(conditioned, carry, target)

    return Case(form, feeding, model, params, unroll)


def test_it_equals_the_equations(case):
    conditioned, carry, logits = case.unroll(case.params, SOURCE, MASK, TARGET)
    for row, length in enumerate(LENGTHS):
        memory = conditioned.memory[:length, row]
        options = {"input_feeding": case.feeding, "forward_size": 2}
        expected, weights = decode(case.params.decoder, case.form, memory, TARGET[:, row], **options)
        np.testing.assert_allclose(logits[:, row], expected, rtol=0, atol=2e-5)
        if weights is not None:
            np.testing.assert_allclose(carry.coverage[row, :length], weights.sum(axis=0), rtol=0, atol=1e-5)
            assert not np.any(carry.coverage[row, length:])


def test_weights_are_those_that_were_read(case):
    if case.form == "plain":
        assert case.model.align is None
        return
    conditioned, carry, _ = case.unroll(case.params, SOURCE, MASK, TARGET)
    start = case.model.decoder.initial_carry(conditioned, (3,))
    weights = jax.jit(case.model.align)(conditioned, start, TARGET)
    assert weights.shape == (4, 3, 5)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=0, atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=0), carry.coverage, rtol=0, atol=1e-5)


def test_steps_equal_an_unroll_under_masks_and_resets(case):
    """The law of language models that a reset goes back to what the memory gives."""
    conditioned, *_ = case.unroll(case.params, SOURCE, MASK, TARGET)
    keep = np.arange(4)[:, None] < [4, 2, 0]
    reset = np.arange(4)[:, None] == [2, 0, 1]

    @jax.jit
    def both(conditioned):
        model = case.model.decoder
        start = model.initial_carry(conditioned, (3,))
        carry, logits = start, []
        for t in range(4):
            carry_t = select(jnp.asarray(reset[t]), start, carry)
            new, of_step = model.step(conditioned, carry_t, TARGET[t])
            carry = select(jnp.asarray(keep[t]), new, carry)
            logits.append(of_step)
        return (carry, jnp.stack(logits)), model.unroll(conditioned, start, TARGET, mask=keep, reset=reset)

    (carry, logits), (last, unrolled) = both(conditioned)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), carry, last)
    np.testing.assert_allclose(np.asarray(logits)[keep], np.asarray(unrolled)[keep], rtol=0, atol=1e-5)


def test_more_padding_changes_nothing(case):
    more = np.concatenate([SOURCE, SOURCE[:3]])
    mask = np.concatenate([MASK, np.zeros((3, 3), bool)])
    *_, logits = case.unroll(case.params, SOURCE, MASK, TARGET)
    *_, padded = case.unroll(case.params, more, mask, TARGET)
    np.testing.assert_allclose(padded, logits, rtol=0, atol=1e-6)
    *_, alone = case.unroll(case.params, SOURCE[:3, 2:], MASK[:3, 2:], TARGET[:, 2:])
    np.testing.assert_allclose(logits[:, 2:], alone, rtol=0, atol=1e-5)


def laid_out(rows, source_rows, target_rows, columns):
    """Pairs of some rows of SOURCE and TARGET, of so many columns; all else is padding."""
    source, target = np.full((source_rows, columns), -1), np.full((target_rows, columns), -1)
    for column, row in enumerate(rows):
        source[: LENGTHS[row], column] = SOURCE[: LENGTHS[row], row]
        target[: TARGET_LENGTHS[row], column] = TARGET[: TARGET_LENGTHS[row], row]
    return as_pairs(jnp.asarray(np.concatenate([source, target]), jnp.int32), source_rows, 0)


def test_neither_loss_nor_gradients_depend_on_padding_and_buckets(case):
    """The mean over all targets, and its gradient for every parameter, however the pairs are laid out."""
    loss = translation_loss(case.model)
    gradient = jax.jit(jax.value_and_grad(lambda p, pairs, whole: loss(p, None, pairs, jax.random.key(0), whole)[0]))
    whole = laid_out(range(3), 5, 4, 3)
    expected = gradient(case.params, whole, whole)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(expected))
    for buckets in (
        [laid_out(range(3), 9, 7, 5)],
        [laid_out([2, 0, 1], 6, 4, 3)],
        [laid_out([1], 2, 3, 2), laid_out([0, 2], 8, 6, 3)],
    ):
        found = [gradient(case.params, pairs, whole) for pairs in buckets]
        summed = jax.tree.map(lambda *leaves: sum(leaves), *found)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), summed, expected)


def test_no_gradient_comes_from_padding_and_every_parameter_has_one(case):
    @jax.jit
    def gradient(params, memory, mask):
        def loss(decoder, memory):
            conditioned = Conditioned(decoder, memory, mask)
            carry = case.model.decoder.initial_carry(conditioned, (3,))
            return jnp.sum(case.model.decoder.score(conditioned, carry, TARGET, TARGET[::-1])[1])

        return jax.grad(loss, (0, 1))(params.decoder, memory)

    memory = GENERATOR.normal(size=(5, 3, MEMORY)).astype(np.float32)
    d_params, d_memory = gradient(case.params, memory, MASK)
    assert np.all(np.asarray(d_memory)[~MASK] == 0.0)
    spoilt = gradient(case.params, np.where(MASK[..., None], memory, np.float32(np.nan)), MASK)
    jax.tree.map(np.testing.assert_array_equal, spoilt, (d_params, d_memory))
    assert all(np.any(leaf) and np.isfinite(leaf).all() for leaf in jax.tree.leaves(d_params))


def test_a_language_model_of_one_source_is_scored_sampled_and_searched(case):
    """The memory of a source with an axis of size 1 for streams, samples and beams."""
    memory = case.unroll(case.params, SOURCE, MASK, TARGET)[0].memory[:3, 2:]
    conditioned = Conditioned(case.params.decoder, memory)
    model, text = case.model.decoder, np.array([3, 1, 0], np.int32)
    expected, _ = decode(
        case.params.decoder, case.form, memory[:, 0], [0, 3, 1], input_feeding=case.feeding, forward_size=2
    )
    own = (expected - np.log(np.exp(expected).sum(axis=1, keepdims=True)))[np.arange(3), text].sum()
    assert likelihood(model, conditioned, text, 0, eval_streams=1).log_prob == pytest.approx(own, abs=1e-4)
    assert generate(model, conditioned, [], 5, jax.random.key(0), eol_id=0, num_samples=3).shape == (5, 3)
    beams = beam_search(model, conditioned, [], 4, eol_id=0, beam_size=3)
    assert np.isfinite(beams.log_probs).all() and (np.diff(beams.log_probs) <= 0).all()


def test_randomness_comes_by_a_key_alone():
    form, feeding = FORMS["late"]
    model = translator(
        7, ENCODER, decoder(form, feeding, dropout_rate=0.5), dropout_rate=0.5, word_dropout=0.5, unk_id=6
    )
    params = model.init(jax.random.key(0))
    condition = jax.jit(model.condition)
    plain, *drawn = (
        np.asarray(condition(params, SOURCE, mask=MASK, key=key).memory)
        for key in (None, jax.random.key(1), jax.random.key(1), jax.random.key(2))
    )
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.any(drawn[0] != drawn[2]) and np.any(drawn[0] != plain)


def test_a_source_may_be_read_from_its_end():
    expected = [SOURCE[:length, row][::-1] for row, length in enumerate(LENGTHS)]
    turned = np.asarray(reversed_rows(SOURCE, MASK))
    for row, (length, ids) in enumerate(zip(LENGTHS, expected, strict=True)):
        np.testing.assert_array_equal(turned[:length, row], ids)
        np.testing.assert_array_equal(turned[length:, row], SOURCE[length:, row])
    np.testing.assert_array_equal(reversed_rows(SOURCE), SOURCE[::-1])
    one_way, plain = unidirectional(gru(3, MEMORY)), decoder("plain", True, forward_size=None)
    there, back = translator(7, one_way, plain), translator(7, one_way, plain, reverse_source=True)
    params = there.init(jax.random.key(0))
    memories = [jax.jit(m.encode)(params, s, mask=MASK) for m, s in ((back, SOURCE), (there, turned))]
    np.testing.assert_allclose(*memories, rtol=0, atol=1e-6)


FRAMES = GENERATOR.normal(size=(5, 3, 2)).astype(np.float32)


@pytest.mark.parametrize("name", ["plain", "additive"])
def test_a_source_may_be_frames_stacked_in_time(name):
    """Three stacked: 5, 1 and 3 frames are 2, 1 and 1 vectors, the last one of row 0 with a frame of zeros."""
    form, feeding = FORMS[name]
    model = encoder_decoder(frame_reader(2, 3), bidirectional(gru(6, 2), gru(6, 2)), decoder(form, feeding))
    drawn, shapes = np.random.default_rng(1), jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: drawn.normal(size=leaf.shape).astype(np.float32), shapes)

    @jax.jit
    def unroll(frames, mask):
        conditioned = model.condition(params, frames, mask=mask)
        carry = model.decoder.initial_carry(conditioned, TARGET.shape[1:])
        return conditioned, *model.decoder.unroll(conditioned, carry, TARGET)

    conditioned, _, logits = unroll(FRAMES, MASK)
    assert conditioned.memory.shape == (2, 3, MEMORY)
    np.testing.assert_array_equal(conditioned.mask, [[True] * 3, [True, False, False]])
    encoder = bidirectional(gru(6, 2), gru(6, 2))
    for row, vectors in enumerate((2, 1, 1)):
        frames = np.zeros((vectors * 3, 2), np.float32)
        frames[: LENGTHS[row]] = FRAMES[: LENGTHS[row], row]
        memory = encoder.encode(params.encoder, frames.reshape(vectors, 6))
        options = {"input_feeding": feeding, "forward_size": 2}
        expected, _ = decode(params.decoder, form, memory, TARGET[:, row], **options)
        np.testing.assert_allclose(logits[:, row], expected, rtol=0, atol=2e-5)
    spoilt = np.where(MASK[..., None], FRAMES, np.float32(np.nan))
    np.testing.assert_array_equal(unroll(spoilt, MASK)[2], logits)


def test_what_does_not_fit_is_refused():
    cell = gru(3, 4)
    with pytest.raises(UserError, match="must have input_size 7"):
        conditional_lm(V, cell, 4, form="additive", embedding_size=3)
    with pytest.raises(UserError, match="attention must be one of plain, additive, multiplicative, got 'dot'"):
        conditional_lm(V, cell, 4, form="dot", embedding_size=3)
    with pytest.raises(UserError, match="readout_size equal to embedding_size, got 4 and 3"):
        conditional_lm(V, cell, 4, form="plain", embedding_size=3, readout_size=4, tied=True)
    with pytest.raises(UserError, match="word_dropout needs an unknown token"):
        translator(7, ENCODER, decoder("plain", True), word_dropout=0.1)
    assert decoder("plain", True) is decoder("plain", True)
    with pytest.raises(UserError, match="must have input_size 6, got 3"):
        encoder_decoder(frame_reader(2, 3), ENCODER, decoder("plain", True))
    with pytest.raises(UserError, match="frames of 2 numbers, got 3"):
        frame_reader(2).read((), np.zeros((4, 1, 3)))
