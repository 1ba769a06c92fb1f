"""Gradients by positions and states of a sentence: finite differences of equations in float64, and laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.analysis import StateName, answer_gradients, source_gradients
from lm_jax.cells import gru, lstm, rnn, stacked
from lm_jax.encoders import Encoder, bidirectional, stacked_encoder, unidirectional
from lm_jax.errors import UserError
from lm_jax.models.classifier import classifier
from lm_jax.models.conditional import Sizes, conditional_lm, decoder_input_size
from lm_jax.models.opened_encoder import log_prob_by_odds
from lm_jax.models.tag_outputs import tag_output
from lm_jax.models.tagger import TaggerInputs, tagger
from lm_jax.models.translator import teacher_forced, translator
from tests.catalogue import entry, running_mean


T, LENGTHS = 5, np.array([5, 3, 1])
MASK = np.arange(T)[:, None] < LENGTHS
XS = np.random.default_rng(2).normal(size=(T, 3, 3)).astype(np.float32)
WEIGHTS = np.random.default_rng(3).normal(size=(2, T, 2))


def parameters(model, seed=0):
    """Drawn so that no bias is zero."""
    return entry(model).make_params(jax.random.key(seed))


def norms(encoder, params, xs, mask, values):
    return jax.jit(lambda p, xs, mask: source_gradients(encoder, p, xs, values, mask=mask))(params, xs, mask)


def two_values(ys):
    """A linear value, and a square one, of outputs [T, *B, 2]."""
    return jnp.stack([jnp.einsum("tbh,th->b", ys, WEIGHTS[0]), jnp.einsum("tbh,th->b", ys**2, WEIGHTS[1])])


# the equations, one row, one step at a time; `added` is added to what a step leaves behind
def numpy_rnn(p, xs, added):
    h, ys = 0.0, []
    for x, d in zip(xs, added, strict=True):
        h = np.tanh(x @ p.w_x + h @ p.w_h + p.b if ys else x @ p.w_x + p.b) + d
        ys.append(h)
    return np.array(ys)


def numpy_lstm(p, xs, added_h, added_c):
    size = p.w_h.shape[0]
    h, c, ys = np.zeros(size), np.zeros(size), []
    for x, d_h, d_c in zip(xs, added_h, added_c, strict=True):
        i, f, g, o = np.split(x @ p.w_x + h @ p.w_h + p.b, 4)
        i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
        c = f * c + i * np.tanh(g)
        h, c = o * np.tanh(c) + d_h, c + d_c
        ys.append(h)
    return np.array(ys)


def numpy_values(params, xs, added):
    """Of [LSTM from the left, RNN from the right] under an RNN; added: by layer, direction and leaf."""
    below, above = params
    forward = numpy_lstm(below.forward, xs, added[0, False, "h"], added[0, False, "c"])
    backward = numpy_rnn(below.backward, xs[::-1], added[0, True, "h"][::-1])[::-1]
    ys = numpy_rnn(above, np.concatenate([forward, backward], axis=1), added[1, False, "h"])
    return np.array([np.sum(ys * WEIGHTS[0, : len(ys)]), np.sum(ys**2 * WEIGHTS[1, : len(ys)])])


def differences(function, at, epsilon=1e-6):
    """Norms [K, T] of the derivative of K values by every row of an array [T, N]."""
    slopes = np.zeros((2, *at.shape))
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = epsilon
        slopes[(slice(None), *place)] = (function(at + step) - function(at - step)) / (2 * epsilon)
    return np.linalg.norm(slopes, axis=-1)


def test_equals_finite_differences_of_the_equations():
    """Two layers, both directions, h and c, rows of three lengths."""
    encoder = stacked_encoder([bidirectional(lstm(3, 2, recurrence="fused"), rnn(3, 3)), unidirectional(rnn(5, 2))])
    params = parameters(encoder)
    double = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    found = norms(encoder, params, XS, MASK, two_values)
    sizes = {(0, False, "h"): 2, (0, False, "c"): 2, (0, True, "h"): 3, (1, False, "h"): 2}
    assert {tuple(name) for name in found.states if name.leaf != "all"} == sizes.keys()
    for row, length in enumerate(LENGTHS):
        xs = XS[:length, row].astype(np.float64)
        zeros = {name: np.zeros((length, size)) for name, size in sizes.items()}
        expected = differences(lambda xs, zeros=zeros: numpy_values(double, xs, zeros), xs)
        np.testing.assert_allclose(found.inputs[:, :length, row], expected, rtol=2e-5, atol=1e-7)
        assert np.all(np.asarray(found.inputs)[:, length:, row] == 0.0)
        for name in sizes:
            expected = differences(
                lambda d, name=name, zeros=zeros, xs=xs: numpy_values(double, xs, zeros | {name: d}), zeros[name]
            )
            np.testing.assert_allclose(found.states[StateName(*name)][:, :length, row], expected, rtol=2e-5, atol=1e-7)
            assert np.all(np.asarray(found.states[StateName(*name)])[:, length:, row] == 0.0)
    both = np.hypot(*(found.states[StateName(0, False, leaf)] for leaf in "hc"))
    np.testing.assert_allclose(found.states[StateName(0, False, "all")], both, rtol=1e-6)


def test_the_gradient_by_an_input_comes_through_the_state():
    """Of one unit: ||dv/dx_t|| = |dv/dh_t| (1 - h_t^2) ||w_x||, wherever the state is read."""
    encoder = unidirectional(rnn(3, 1))
    params = parameters(encoder)
    found = norms(encoder, params, XS, MASK, lambda ys: jnp.stack([ys[0, :, 0], jnp.sum(jnp.cos(ys), (0, 2))]))
    ys = np.asarray(encoder.encode(params, XS, mask=MASK))[..., 0]
    slope = (1 - ys**2) * np.linalg.norm(params.w_x)
    np.testing.assert_allclose(found.inputs, found.states[StateName(0, False, "h")] * slope, rtol=1e-5)
    assert np.all(np.asarray(found.inputs)[0, 1:] == 0.0) and np.all(np.asarray(found.inputs)[0, 0] > 0.0)


def test_padding_changes_nothing_and_is_not_read():
    encoder = bidirectional(gru(3, 2), running_mean(3, 2))
    params = parameters(encoder)

    def values(ys):
        return jnp.sum(jnp.sin(ys), axis=(0, 2))[None]

    spoilt = np.where(MASK[..., None], XS, np.nan)
    found = jax.tree.map(np.asarray, norms(encoder, params, spoilt, MASK, values))
    assert np.all(np.isfinite(found.values))
    assert all(np.all(a[0][~MASK] == 0.0) and np.all(np.isfinite(a)) for a in jax.tree.leaves(found[1:]))
    alone = norms(encoder, params, XS[:3, 1], None, lambda ys: jnp.sum(jnp.sin(ys))[None])
    for padded, row in zip(jax.tree.leaves(found[1:]), jax.tree.leaves(alone[1:]), strict=True):
        np.testing.assert_allclose(padded[:, :3, 1], row, rtol=1e-5, atol=1e-7)
        assert row.shape == (1, 3)


def test_each_direction_alone():
    """The backward half is the same cell over the row from its end; a value of one half has no gradient by the
    other's states. The leaf that is handed out is found in the program of a cell."""
    encoder = bidirectional(gru(3, 2), lstm(3, 2))
    params = parameters(encoder)
    both = norms(encoder, params, XS, None, lambda ys: jnp.sum(jnp.cos(ys[1, :, 2:]), -1)[None])
    one = unidirectional(lstm(3, 2))
    alone = norms(one, params.backward, XS[::-1], None, lambda ys: jnp.sum(jnp.cos(ys[T - 2]), -1)[None])
    np.testing.assert_allclose(both.inputs, alone.inputs[:, ::-1], rtol=1e-6)
    for leaf in ("h", "c", "all"):
        backward = both.states[StateName(0, True, leaf)]
        np.testing.assert_allclose(backward, alone.states[StateName(0, False, leaf)][:, ::-1], rtol=1e-6)
    assert not np.any(both.states[StateName(0, False, "h")])


def test_the_output_is_found_among_the_leaves_of_the_carry():
    """Or is a state of its own; in a stack as one cell the lower layers have names, too."""
    cells = {running_mean(3, 2): {"sum", "count", "y"}, lstm(3, 2): {"h", "c"}, gru(3, 2): {"h"}, rnn(3, 2): {"h"}}
    cells[stacked([gru(3, 2), lstm(2, 2)])] = {"0.h", "1.h", "1.c"}
    for cell, leaves in cells.items():
        found = jax.eval_shape(
            lambda p, cell=cell: source_gradients(unidirectional(cell), p, XS, lambda ys: ys[0, :, 0][None]),
            parameters(cell),
        )
        assert {name.leaf for name in found.states} == leaves | ({"all"} if len(leaves) > 1 else set())


def test_an_encoder_of_ones_own_is_refused():
    own = Encoder(lambda key: (), lambda params, xs, mask=None, key=None: xs, 3, 3)
    with pytest.raises(UserError, match="made of cells, got one without encode_with"):
        source_gradients(own, (), XS, lambda ys: ys[0, :, 0][None])
    assert stacked_encoder([unidirectional(rnn(3, 3)), own]).encode_with is None


TOKENS = np.array([[1, 2, 3, 4], [2, 0, 4, 1], [3, 1, 0, 0]])


def test_of_a_label():
    model = classifier(5, 3, bidirectional(rnn(3, 2), rnn(3, 2)), pooling="attention", head_size=2)
    params, labels = parameters(model), np.array([2, 0, 1, 1])
    mask = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 0, 1]], bool)
    found = answer_gradients(model.opened, params, TOKENS, labels, mask)

    def log_probs(xs):
        logits = model.logits_of_embedded(params, xs, mask=mask)
        return jnp.sum(jax.nn.log_softmax(logits)[np.arange(4), labels])

    expected = np.linalg.norm(jax.jit(jax.grad(log_probs))(model.embed(params, TOKENS)), axis=-1)
    np.testing.assert_allclose(found.inputs[0], expected, rtol=1e-4, atol=1e-7)
    assert np.all(found.inputs[0][~mask] == 0.0) and found.inputs.dtype == np.float64


def test_of_a_tag():
    """The logarithm of the marginal probability of each tag."""
    model = tagger(unidirectional(rnn(3, 4)), tag_output("crf", ("O", "B-x", "I-x")), (0, 3, 2, 2, 1))
    params, inputs, tags = parameters(model), TaggerInputs(TOKENS, np.zeros((3, 4, 1), int)), TOKENS % 2
    found = answer_gradients(model.opened, params, inputs, tags, np.ones((3, 4), bool))

    def log_probs(embedding):
        shares = model.marginals(params.replace(embedding=embedding), inputs)
        return jnp.log(jnp.take_along_axis(shares, tags[..., None], -1))[:, 0, 0]

    # the first sentence has each of its words once
    expected = np.linalg.norm(jax.jit(jax.jacobian(log_probs))(params.embedding)[:, TOKENS[:, 0]], axis=-1)
    np.testing.assert_allclose(found.inputs[:, :, 0], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("form", "reverse"), [("plain", True), ("additive", False)])
def test_of_a_translated_word(form, reverse):
    """Of each by itself, with the true words before it; positions are those of the sentence, also where it is read
    from its end."""
    cell = lstm(decoder_input_size(form, Sizes(3, 4, 2)), 2)
    decoder = conditional_lm(4, cell, 4, form=form, embedding_size=3, readout_size=2)
    model = translator(5, unidirectional(gru(3, 4)), decoder, reverse_source=reverse)
    params, targets = parameters(model), np.array([[1, 2, 3, 0], [0, 3, 1, -1]]).T
    mask = np.array([[1, 1, 1], [1, 1, 0]], bool).T
    sources = TOKENS[:, [0, 2]]
    found = answer_gradients(model.opened, params, sources, teacher_forced(jnp.asarray(targets), 0), mask)

    def log_probs(embedding):
        conditioned = model.condition(params.replace(embedding=embedding), sources, mask=mask)
        carry = decoder.model.initial_carry(conditioned, (2,))
        inputs = np.array([[0, 1, 2, 3], [0, 0, 3, 1]]).T
        return decoder.model.score(conditioned, carry, inputs, np.maximum(targets, 0))[1]

    slopes = np.linalg.norm(jax.jit(jax.jacobian(log_probs))(params.embedding), axis=-1)
    for row, length in ((0, 3), (1, 2)):
        expected = slopes[:, row, sources[:length, row]]  # every word of a sentence stands there once
        np.testing.assert_allclose(found.inputs[: 4 - row, :length, row], expected[: 4 - row], rtol=1e-4, atol=1e-7)
    assert not np.any(found.inputs[3, :, 1]) and not np.any(found.inputs[:, 2, 1])
    first, last = (found.states[StateName(0, reverse, "h")][0, place, 0] for place in (0, 2))
    if form == "plain":  # which begins with the state that is read last: here the first
        assert first > last


def test_a_gradient_near_certainty_has_its_digits():
    """P = 1 - 1e-11: in float32 the difference of 1 and P would be nothing."""
    logits = jnp.array([25.0, 0.0, -1.0])
    found = jax.jit(jax.grad(lambda z: log_prob_by_odds(z, jnp.asarray(0))))(logits)
    double = np.asarray(logits, np.float64)
    shares = np.exp(double - 25) / np.exp(double - 25).sum()
    np.testing.assert_allclose(found, [shares[1] + shares[2], -shares[1], -shares[2]], rtol=1e-5)
    np.testing.assert_allclose(jax.jit(log_prob_by_odds)(logits, 1), np.log(shares[1]), rtol=1e-6)
