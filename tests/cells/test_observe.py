"""The inside of a step: the names, the ranges, and that these gates are the ones the step used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import drop_connect, gru, lstm, rnn, stacked
from lm_jax.cells.saturation import SATURATED
from tests import catalogue
from tests.cases import draw_inputs, draw_like, make_case


OBSERVED = [name for name, entry in catalogue.CELLS.items() if entry.subject.observe is not None]
OWN = [name for name in OBSERVED if "fused" not in name]  # the engine of an unroll is none of a step
LSTM_NAMES = {*(f"gate.{n}" for n in ("input", "forget", "output")), "saturation"}
LSTM_NAMES |= {f"matrix.{n}" for n in ("input", "forget", "candidate", "output")}
GRU_NAMES = {"gate.reset", "gate.update", "matrix.reset", "matrix.update", "matrix.candidate", "saturation"}
RNN_NAMES = {"matrix.h", "saturation"}
NAMES = {"lstm": LSTM_NAMES, "gru": GRU_NAMES, "rnn": RNN_NAMES}
NAMES |= {
    "mingru": {"gate.update", "saturation"},
    "minlstm": {"gate.forget", "gate.input", "saturation"},
    "rglru": {"gate.recurrence", "gate.input", "saturation"},
    "slstm": {"gate.input", "gate.output", "saturation"},
    "mlstm": {"gate.forget", "gate.output", "saturation"},
    "gated": {"gate.forget", "gate.input", "saturation"},
    "cornn": {"matrix.h", "matrix.velocity", "saturation"},
}
DIAGONALS = {"diagonal_gru": GRU_NAMES, "diagonal_lstm": LSTM_NAMES}
STACKS = {
    "stack_plain": ("lstm", "gru"),
    "stack_residual": ("lstm", "gru", "rnn"),
    "stack_highway": ("gru", "lstm"),
    "stack_dense": ("lstm", "gru", "rnn"),
    "stack_dropout": ("rnn", "lstm"),
    "stack_locked": ("rnn", "gru"),
    "drop_connect": ("gru", "lstm"),
    "stack_fused": ("lstm", "gru"),
}


def named(layers):
    """What is observed of all layers, by names such as "gate.input", with the layer's number before it in a stack."""
    found = {}
    for number, layer in enumerate(layers):
        prefix = f"{number}." if len(layers) > 1 else ""
        found |= {f"{prefix}gate.{n}": a for n, a in layer.gates.items()}
        found |= {f"{prefix}matrix.{n}": a for n, a in layer.matrices.items()}
        found[f"{prefix}saturation"] = layer.saturation
    return found


def expected_names(name):
    """From the documentation, with the numbers of layers before them in a stack."""
    if name in STACKS:
        return {f"{layer}.{n}" for layer, kind in enumerate(STACKS[name]) for n in NAMES[kind]}
    return DIAGONALS[name] if name in DIAGONALS else NAMES[name.split("_")[0]]


def test_every_cell_with_gates_is_observed_and_a_users_need_not_be():
    without = {"lru", "lru_associative", "stack_blocks"}
    assert set(catalogue.CELLS) - set(OBSERVED) == {"running_mean", "stack_of_user_cells", *without}


@pytest.mark.parametrize("name", OWN)
def test_names_shapes_and_ranges(name):
    case = make_case(catalogue.CELLS[name])
    carry, _ = jax.jit(case.subject.unroll)(case.params, case.carry, case.xs[1:])
    seen = named(jax.jit(case.subject.observe)(case.params, carry, case.xs[0]))
    assert set(seen) == expected_names(name)
    carries = jax.tree.leaves(case.carry[0] if name in STACKS else case.carry)
    size = carries[0].shape[-1]
    for full, array in seen.items():
        layer_size = jax.tree.leaves(case.carry[int(full[0])])[0].shape[-1] if name in STACKS else size
        if "matrix." in full:
            assert array.shape == (layer_size, layer_size)
        else:
            assert array.shape == (*case.xs.shape[1:-1], layer_size)
            assert np.all((array >= 0) & (array <= 1))
            assert "gate." not in full or np.ptp(array) > 0.01  # gates are not constants


def gates_of(cell, batch=(3,), scale=1.0, seed=0):
    """(params, carry, new carry, what is observed, x) of one drawn step in float64."""
    params = jax.eval_shape(cell.init, jax.random.key(0))
    params = jax.tree.map(lambda a: scale * a.astype(float), draw_like(params, seed))
    carry = jax.tree.map(lambda a: a.astype(float), draw_like(cell.initial_carry(params, batch), seed + 1))
    x = draw_inputs(cell, batch).astype(float)
    return params, carry, cell.step(params, carry, x)[0], named(cell.observe(params, carry, x)), x


def column(params, place, gates):
    """A gate's block of the parameters (w_x, w_h, b)."""
    return [np.split(np.asarray(a), gates, axis=-1)[place] for a in (params.w_x, params.w_h, params.b)]


@pytest.mark.parametrize("batch", [(), (3,), (2, 2)], ids=str)
def test_the_carry_of_an_lstm_follows_from_its_gates(batch, x64):
    params, (h, c), new, seen, x = gates_of(lstm(3, 4), batch)
    w_x, w_h, b = column(params, 2, 4)
    c = seen["gate.forget"] * c + seen["gate.input"] * np.tanh(x @ w_x + h @ w_h + b)
    np.testing.assert_allclose(c, new.c, rtol=1e-12)
    np.testing.assert_allclose(seen["gate.output"] * np.tanh(c), new.h, rtol=1e-12)
    np.testing.assert_array_equal(seen["matrix.candidate"], w_h)
    np.testing.assert_array_equal(seen["matrix.forget"], column(params, 1, 4)[1])


@pytest.mark.parametrize("reset", ["after", "before"])
def test_the_carry_of_a_gru_follows_from_its_gates(reset, x64):
    params, h, new, seen, x = gates_of(gru(3, 4, reset=reset))
    w_x, w_h, b = column(params, 2, 3)
    r, z = seen["gate.reset"], seen["gate.update"]
    product = r * (h @ w_h + params.b_hn) if reset == "after" else (r * h) @ w_h
    np.testing.assert_allclose((1 - z) * np.tanh(x @ w_x + b + product) + z * h, new, rtol=1e-12)
    np.testing.assert_array_equal(seen["matrix.candidate"], w_h)
    np.testing.assert_array_equal(seen["matrix.update"], column(params, 1, 3)[1])


def sigmoid(a):
    """1 / (1 + exp(-a))."""
    return 1 / (1 + np.exp(-a))


def is_saturated(kind, a):
    """From the derivative at the pre-activation a, by central differences of the function and its largest slope."""
    f = {"tanh": np.tanh, "sigmoid": sigmoid, "relu": lambda a: np.maximum(a, 0), "identity": lambda a: a}[kind]
    slope = (f(a + 1e-6) - f(a - 1e-6)) / 2e-6
    return slope < 0.05 * (f(1e-6) - f(-1e-6)) / 2e-6 if kind != "relu" else slope == 0


@pytest.mark.parametrize("kind", SATURATED)
def test_saturation_of_a_simple_network(kind, x64):
    params, h, _, seen, x = gates_of(rnn(3, 4, nonlinearity=kind), (500,), scale=4.0)
    expected = is_saturated(kind, x @ params.w_x + h @ params.w_h + params.b)
    np.testing.assert_array_equal(seen["saturation"], expected)
    assert (0.1 < expected.mean() < 0.9) == (kind != "identity")
    assert seen["saturation"].shape == (500, 4)


def test_saturation_of_an_lstm_is_of_five_nonlinearities(x64):
    params, (h, _), new, seen, x = gates_of(lstm(3, 4), (500,), scale=8.0)
    i, f, g, o = np.split(np.asarray(x @ params.w_x + h @ params.w_h + params.b), 4, axis=-1)
    flags = [is_saturated("sigmoid", a) for a in (i, f, o)] + [is_saturated("tanh", a) for a in (g, np.asarray(new.c))]
    np.testing.assert_allclose(seen["saturation"], np.mean(flags, axis=0))
    assert len(np.unique(seen["saturation"])) == 6


def test_saturation_of_a_gru_is_of_three_nonlinearities(x64):
    params, h, _, seen, x = gates_of(gru(3, 4), (500,), scale=4.0)
    r, z, n = (np.split(np.asarray(x @ params.w_x + params.b), 3, axis=-1)[k] for k in range(3))
    h_r, h_z, h_n = np.split(np.asarray(h @ params.w_h), 3, axis=-1)
    kinds = ("sigmoid", "sigmoid", "tanh")
    values = (r + h_r, z + h_z, n + sigmoid(r + h_r) * (h_n + params.b_hn))
    flags = [is_saturated(kind, np.asarray(a)) for kind, a in zip(kinds, values, strict=True)]
    np.testing.assert_allclose(seen["saturation"], np.mean(flags, axis=0))
    assert len(np.unique(seen["saturation"])) == 4


@pytest.mark.parametrize("connection", ["plain", "residual", "highway", "dense"])
def test_layers_of_a_stack_see_what_the_layer_below_hands_on(connection):
    """Layer 1 observed alone, at the input that the stack's equations give it."""
    lower, upper = lstm(4, 4), gru(8 if connection == "dense" else 4, 4)
    stack = stacked([lower, upper], connection)
    params = jax.tree.map(lambda a: a + 0.3, stack.init(jax.random.key(0)))
    x, carry = draw_inputs(stack, (3,)), draw_like(stack.initial_carry(params, (3,)), 1)
    _, y = lower.step(params.cells[0], carry[0], x)
    if connection == "highway":
        t = sigmoid(x @ params.gates[0].w_t + params.gates[0].b_t)
        y = t * y + (1 - t) * x
    handed = {"plain": y, "residual": x + y, "highway": y, "dense": jnp.concatenate([x, y], -1)}[connection]
    seen = named(stack.observe(params, carry, x))
    for layer, cell, inputs in ((0, lower, x), (1, upper, handed)):
        for name, array in named(cell.observe(params.cells[layer], carry[layer], inputs)).items():
            np.testing.assert_allclose(seen[f"{layer}.{name}"], array, rtol=1e-5, err_msg=name)


def test_a_stack_of_stacks_has_all_layers_in_their_order():
    stack = stacked([stacked([rnn(3, 4), gru(4, 4)]), drop_connect(lstm(4, 4), 0.5)])
    params = stack.init(jax.random.key(0))
    seen = named(stack.observe(params, stack.initial_carry(params, (2,)), jnp.zeros((2, 3))))
    assert {"0.matrix.h", "1.gate.update", "2.gate.forget"} <= set(seen)


@pytest.mark.parametrize(
    ("cell", "biases"),
    [
        (lstm(3, 4), (-200, 200, 0, 0)),
        (gru(3, 4), (0, 200, 0)),
        (gru(3, 4, reset="before"), (0, 200, 0)),
    ],
    ids=["lstm", "gru_after", "gru_before"],
)
def test_gates_open_and_shut_by_force_keep_the_state_to_the_last_bit(cell, biases):
    """f = 1 and i = 0, or z = 1, for 1,000 steps; and `observe` says so."""
    params = cell.init(jax.random.key(0)).replace(b=jnp.repeat(jnp.array(biases, jnp.float32), 4))
    carry, xs = draw_like(cell.initial_carry(params, (2,)), 1), draw_inputs(cell, (1000, 2))
    after, _ = jax.jit(cell.unroll)(params, carry, xs)
    kept = (after.c, carry.c) if hasattr(carry, "c") else (after, carry)
    np.testing.assert_array_equal(*kept)
    assert np.abs(kept[1]).min() > 0
    seen = named(cell.observe(params, carry, xs[0]))
    forced = {"gate.forget": 1, "gate.input": 0} if hasattr(carry, "c") else {"gate.update": 1}
    for gate, value in forced.items():
        np.testing.assert_array_equal(seen[gate], np.full((2, 4), value))
