"""How a gradient flow is asked for: cells of users, texts in several forms, and mistakes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis import gradient_flow
from lm_jax.cells import Cell, lstm, rnn, scan_unroll, stacked
from lm_jax.models import recurrent_lm
from tests import catalogue


V, T, B = catalogue.VOCAB_SIZE, 7, 3
TOKENS = np.random.default_rng(0).integers(V, size=(T + 1, B))


ZEROS = np.zeros((B, 4))


class Counting(NamedTuple):
    """A carry with a whole number, which has no derivative, and states in a tuple."""

    steps: Any
    states: Any


def blinking(size: int, traced: list) -> Cell:
    """h' = tanh(x + h) where the number of steps is even, h where it is odd; the output is h' + slow."""

    def init(key):
        return {"a": jax.random.normal(key, (size,))}

    def initial_carry(params, batch_shape):
        return Counting(jnp.zeros(batch_shape, jnp.int32), (jnp.zeros((*batch_shape, size)), jnp.zeros(batch_shape)))

    def step(params, carry, x):
        traced.append(None)
        h, slow = carry.states
        h = jnp.where(carry.steps[..., None] % 2 == 0, jnp.tanh(params["a"] * x + h), h)
        return Counting(carry.steps + 1, (h, 0.5 * slow)), h + slow[..., None]

    return Cell(init, initial_carry, step, scan_unroll(initial_carry, step), size, size)


def test_a_cell_of_a_user_in_a_stack_and_alone():
    """Leaves are named by their path; odd steps hand on all of h, and `slow` halves."""
    traced = []
    cell = blinking(3, traced)
    for whole, layer in ((cell, 0), (stacked([rnn(3, 3), cell]), 1)):
        model = recurrent_lm(V, whole)
        params = model.init(jax.random.key(0))
        flow = gradient_flow(model, params, TOKENS)
        norms = flow.carry[layer]
        assert list(norms) == ["states.0", "states.1", "all"]
        # the edge from step 0 goes into step 1, which is odd
        np.testing.assert_allclose(norms["states.0"][:, 2:, 0], norms["states.0"][:, 2:, 1], rtol=1e-6)
        assert np.all(norms["states.0"][:, 3:, 1] < norms["states.0"][:, 3:, 2])
        for i in range(2, T):
            np.testing.assert_allclose(np.diff(norms["states.1"][:, i, :i]), np.log(2), rtol=1e-5)
        both = np.exp(2 * norms["states.0"]) + np.exp(2 * norms["states.1"])
        np.testing.assert_allclose(np.exp(2 * norms["all"]), both, rtol=1e-6)
    count = len(traced)
    gradient_flow(model, params, TOKENS[::-1])
    assert len(traced) == count  # the same shapes are not traced again


@pytest.fixture(scope="module")
def lstms():
    """(model, params) of two layers, biases and all drawn."""
    entry = catalogue._around("stack_plain")
    return entry.subject, entry.make_params(jax.random.key(0))


def assert_same(flow, expected):
    """Equal up to rounding, at every leaf."""
    actual, expected = jax.tree.leaves((flow.output, flow.carry)), jax.tree.leaves((expected.output, expected.carry))
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_texts_do_not_meet_and_one_text_needs_no_axis(lstms):
    together = gradient_flow(*lstms, TOKENS)
    for b in range(B):
        part = jax.tree.map(lambda a, b=b: a[b : b + 1], (together.output, together.carry))
        assert_same(gradient_flow(*lstms, TOKENS[:, b]), together._replace(output=part[0], carry=part[1]))


def test_tokens_are_inputs_and_the_targets_after_them(lstms):
    assert_same(gradient_flow(*lstms, TOKENS), gradient_flow(*lstms, TOKENS[:-1], targets=TOKENS[1:]))


def test_a_text_goes_on_from_a_carry(lstms):
    model, params = lstms
    whole = gradient_flow(model, params, TOKENS)
    carry, _ = model.unroll(params, model.initial_carry(params, (B,)), TOKENS[:3])
    later = jax.tree.map(lambda a: a[:, 3:, 3:] if a.ndim == 3 else a[:, 3:], (whole.output, whole.carry))
    rest = gradient_flow(model, params, TOKENS[3:], carry=carry)
    assert_same(rest, whole._replace(output=later[0], carry=later[1]))
    assert not np.allclose(rest.output, gradient_flow(model, params, TOKENS[3:]).output)


def test_a_carry_of_other_numbers_is_taken_in_the_types_of_the_cell():
    given, expected = (flow_of("rnn", carry=np.ones((B, 4), dtype)) for dtype in (int, np.float32))
    np.testing.assert_array_equal(given.carry[0]["h"], expected.carry[0]["h"])


def flow_of(name, tokens=TOKENS, **options):
    """The flow of an entry of the catalogue."""
    entry = catalogue.MODELS[name]
    return gradient_flow(entry.subject, entry.make_params(jax.random.key(0)), tokens, **options)


def stateless():
    """A cell without a carry in a model."""
    cell = Cell(lambda key: {}, lambda p, b: (), lambda p, c, x: (c, x), None, 3, 3)
    model = recurrent_lm(V, cell)
    return gradient_flow(model, model.init(jax.random.key(0)), TOKENS)


def stateless_layer():
    """A stack whose upper layer only counts."""
    cell = Cell(lambda key: {}, lambda p, b: jnp.zeros(b, jnp.int32), lambda p, c, x: (c + 1, x), None, 3, 3)
    model = recurrent_lm(V, stacked([rnn(3, 3), cell]))
    return gradient_flow(model, model.init(jax.random.key(0)), TOKENS)


def complex_carry():
    """A cell whose gradient goes through complex numbers too; to hold them would leave a part of it out."""

    def initial_carry(params, batch_shape):
        return {"h": jnp.zeros((*batch_shape, 3)), "z": jnp.zeros((*batch_shape, 3), jnp.complex64)}

    def step(params, carry, x):
        z = 1j * carry["z"] + carry["h"] + x
        return {"h": z.real, "z": z}, z.real

    model = recurrent_lm(V, Cell(lambda key: {}, initial_carry, step, scan_unroll(initial_carry, step), 3, 3))
    return gradient_flow(model, model.init(jax.random.key(0)), TOKENS)


def named_all():
    """A leaf that has the name of the whole carry."""
    cell = Cell(lambda key: {}, lambda p, b: {"all": jnp.zeros((*b, 3))}, lambda p, c, x: (c, x), None, 3, 3)
    model = recurrent_lm(V, cell)
    return gradient_flow(model, model.init(jax.random.key(0)), TOKENS)


MISTAKES = {
    "n-gram": (lambda: flow_of("bigram_katz"), "a recurrent network, .* got another"),
    "window": (lambda: flow_of("window"), "a recurrent network, .* got another"),
    "one_token": (lambda: flow_of("lstm", TOKENS[:1]), "at least two predictions, .* got 0"),
    "two_tokens": (lambda: flow_of("lstm", TOKENS[:2]), "at least two predictions, .* got 1"),
    "no_tokens": (lambda: flow_of("lstm", TOKENS[:0]), "at least two predictions, .* got 0"),
    "no_texts": (lambda: flow_of("lstm", TOKENS[:, :0]), r"\[T, B\], .* got \(7, 0\)"),
    "axes": (lambda: flow_of("lstm", TOKENS[..., None]), r"\[T, B\], .* got \(7, 3, 1\)"),
    "targets": (lambda: flow_of("lstm", targets=TOKENS[1:]), r"same shape, got \(8, 3\) and \(7, 3\)"),
    "long_lag": (lambda: flow_of("lstm", max_lag=T), "max_lag must be below the number of predictions, 7, got 7"),
    "no_lag": (lambda: flow_of("lstm", max_lag=0), "max_lag must be .* at least 1, got 0"),
    "unknown_id": (lambda: flow_of("lstm", TOKENS + 1), "ids of a vocabulary of 5, got 1 to 5"),
    "negative_id": (lambda: flow_of("lstm", TOKENS - 1), "ids of a vocabulary of 5, got -1 to 3"),
    "no_ids": (lambda: flow_of("lstm", TOKENS / 2), "ids of a vocabulary of 5, got 0.0 to 2.0"),
    "carry": (lambda: flow_of("rnn", carry=jnp.zeros((1, 4))), r"the shapes \(3, 4\), got \(1, 4\)"),
    "tuple": (lambda: flow_of("lstm", carry=(ZEROS, ZEROS)), r"the shapes LSTMCarry\(.*, got \(\(3, 4\), \(3, 4\)\)"),
    "several_lengths": (lambda: flow_of("lstm", [[1, 2], [3]]), "texts of one length, got texts of several"),
    "stateless": (stateless, "a carry of real numbers, got an empty one"),
    "stateless_layer": (stateless_layer, "a carry of real numbers in every layer, got none in layer 1"),
    "complex": (complex_carry, "a carry of real numbers, got float32, complex64"),
    "named_all": (named_all, "'all' is the name of the whole carry"),
}


@pytest.mark.parametrize(("mistake", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message) as raised:
        mistake()
    assert "\n" not in str(raised.value)


def test_the_laboratory_opens_from_the_front_door():
    from lm_jax import analysis

    assert all(hasattr(analysis, name) for name in analysis.__all__)


def test_bfloat16_products_keep_a_flow_in_float32():
    model = recurrent_lm(V, lstm(3, 4, compute_dtype="bfloat16"))
    exact = recurrent_lm(V, lstm(3, 4))
    params = model.init(jax.random.key(0))
    past = np.tri(T, k=-1, dtype=bool)
    rounded, expected = (gradient_flow(m, params, TOKENS).carry[0]["h"][:, past] for m in (model, exact))
    np.testing.assert_allclose(rounded, expected, rtol=0, atol=0.05)
    assert not np.array_equal(rounded, expected)
