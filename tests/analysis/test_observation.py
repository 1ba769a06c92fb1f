"""Gate values, saturation and radii along a text: steps in Python, and numpy."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.analysis import gate_values, recurrent_radius, saturation
from lm_jax.cells import Observed, rnn, stacked
from lm_jax.models import recurrent_lm
from tests import catalogue
from tests.cases import draw_like


V, T, B = catalogue.VOCAB_SIZE, 6, 2
TOKENS = np.random.default_rng(0).integers(V, size=(T, B))


@functools.cache
def opened(name):
    """(model, params, carry) around a cell of the catalogue."""
    entry = catalogue._around(name)
    params = entry.make_params(jax.random.key(0))
    return entry.subject, params, draw_like(entry.subject.initial_carry(params, (B,)), 1)


def step_by_step(model, params, carry):
    """The layers observed at each step, a list of tuples."""
    seen = []
    for token in TOKENS:
        seen.append(model.opened.cell.observe(params.cell, carry, params.embedding[token]))
        carry, _ = model.step(params, carry, token)
    return seen


@pytest.mark.parametrize("name", ["lstm", "stack_plain"])
def test_gates_and_saturation_are_those_of_each_step(name):
    model, params, carry = opened(name)
    seen = step_by_step(model, params, carry)
    gates = gate_values(model, params, TOKENS, carry=carry)
    names = [f"gate.{n}" for n in ("forget", "input", "output")]
    assert list(gates) == (names if name == "lstm" else [*(f"0.{n}" for n in names), "1.gate.reset", "1.gate.update"])
    for gate, values in gates.items():
        layer, name_of_gate = int(gate[0]) if gate[0].isdigit() else 0, gate.split(".")[-1]
        np.testing.assert_allclose(values, np.stack([s[layer].gates[name_of_gate] for s in seen]), rtol=1e-5)
    measured = saturation(model, params, TOKENS, carry=carry)
    expected = np.array([[np.mean(layer.saturation) for layer in s] for s in seen])
    np.testing.assert_allclose(measured.by_step, expected, rtol=1e-6)
    np.testing.assert_allclose(measured.share, expected.mean(axis=0), rtol=1e-6)


def test_saturation_of_a_large_network_is_near_one_and_of_a_small_near_none():
    model, params, _ = opened("rnn_tanh")
    shares = [saturation(model, jax.tree.map(lambda a, k=k: a * k, params), TOKENS).share[0] for k in (0.1, 50.0)]
    assert shares[0] == 0 and shares[1] > 0.9


def test_a_simple_network_has_no_gates():
    assert gate_values(*opened("rnn_tanh")[:2], TOKENS) == {}


def test_layers_come_in_their_order():
    """Ten after two."""
    model = recurrent_lm(V, stacked([rnn(2, 2) for _ in range(11)]))
    params = model.init(jax.random.key(0))
    assert list(recurrent_radius(model, params)) == [f"{layer}.matrix.h" for layer in range(11)]
    cells = tuple(c.replace(b=c.b + 50) if layer == 2 else c for layer, c in enumerate(params.cell.cells))
    share = saturation(model, params.replace(cell=params.cell.replace(cells=cells)), TOKENS).share
    assert share.shape == (11,) and np.argmax(share) == 2


def test_radii_are_those_of_the_blocks():
    model, params, _ = opened("lstm")
    blocks = np.split(np.asarray(params.cell.w_h, np.float64), 4, axis=1)
    radii = recurrent_radius(model, params)
    assert list(radii) == [f"matrix.{n}" for n in ("candidate", "forget", "input", "output")]
    for gate, block in zip(("input", "forget", "candidate", "output"), blocks, strict=True):
        largest = np.abs(np.roots(np.poly(block))).max()  # of the characteristic polynomial
        np.testing.assert_allclose(radii[f"matrix.{gate}"], largest, rtol=1e-6)


def test_a_scaled_orthogonal_matrix_has_its_scale():
    from lm_jax import initializers

    model = recurrent_lm(V, rnn(3, 8, w_h_init=initializers.orthogonal(0.7)))
    assert recurrent_radius(model, model.init(jax.random.key(0)))["matrix.h"] == pytest.approx(0.7, rel=1e-5)


INSTRUMENTS = {
    "gate_values": gate_values,
    "saturation": saturation,
    "recurrent_radius": lambda model, params, tokens: recurrent_radius(model, params),
}


@pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=INSTRUMENTS)
@pytest.mark.parametrize("cell", ["running_mean", "stack_of_user_cells"])
def test_a_cell_without_observe_is_named(instrument, cell):
    with pytest.raises(UserError, match=r"^this analysis needs a cell with `observe`, got one without$"):
        instrument(*opened(cell)[:2], TOKENS)


def call(name, tokens=TOKENS, **options):
    """Gate values of an entry of the catalogue."""
    entry = catalogue.MODELS[name]
    return gate_values(entry.subject, entry.make_params(jax.random.key(0)), tokens, **options)


def diverged(instrument, *tokens):
    """Parameters that are no numbers."""
    model, params, _ = opened("lstm")
    return instrument(model, jax.tree.map(lambda a: a * jnp.nan, params), *tokens)


def without_saturation():
    """A cell that tells of its gates alone."""
    cell = catalogue.CELLS["rnn_tanh"].subject._replace(observe=lambda p, c, x: (Observed({"all": c}, {}),))
    model = recurrent_lm(V, cell)
    return saturation(model, model.init(jax.random.key(0)), TOKENS)


MISTAKES = SimpleNamespace(
    ngram=(lambda: call("bigram_katz"), "a recurrent network, .* got another"),
    one_token=(lambda: call("lstm", TOKENS[:1]), "at least two .* got 1"),
    carry=(lambda: call("rnn", carry=jnp.zeros((1, 4))), r"the shapes \(2, 4\), got \(1, 4\)"),
    ids=(lambda: call("lstm", TOKENS + 1), "ids of a vocabulary of 5, got 1 to 5"),
    diverged=(lambda: diverged(recurrent_radius), "got NaN or infinity"),
    diverged_gates=(lambda: diverged(gate_values, TOKENS), "this analysis needs states that are numbers, got NaN"),
    diverged_saturation=(lambda: diverged(saturation, TOKENS), "this analysis needs states that are numbers, got NaN"),
    no_saturation=(without_saturation, "saturation needs a cell whose `observe` gives saturation"),
)


@pytest.mark.parametrize(("mistake", "message"), vars(MISTAKES).values(), ids=vars(MISTAKES))
def test_a_mistake_is_named_with_the_rule_and_the_value(mistake, message):
    with pytest.raises(UserError, match=message) as raised:
        mistake()
    assert "\n" not in str(raised.value)
