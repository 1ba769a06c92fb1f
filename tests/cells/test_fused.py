"""The fused engine against `scan`: the same outputs, carries and gradients, and what its loops may not do."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.cells import gru, lstm, rnn
from lm_jax.cells.engines import selection
from tests.cases import draw_like, weighted_sum
from tests.cells.test_loop import equations


KINDS = {
    "rnn_tanh": rnn,
    "rnn_relu": functools.partial(rnn, nonlinearity="relu"),
    "rnn_sigmoid": functools.partial(rnn, nonlinearity="sigmoid"),
    "rnn_identity": functools.partial(rnn, nonlinearity="identity"),
    "gru_after": gru,
    "gru_before": functools.partial(gru, reset="before"),
    "lstm": lstm,
}
MAIN = ["rnn_tanh", "rnn_relu", "gru_after", "gru_before", "lstm"]
B = 3
SWITCHES = ["plain", "mask", "reset", "both"]


def pair(kind, size, **options):
    """The cell on each engine."""
    return [KINDS[kind](size, size, recurrence=recurrence, **options) for recurrence in ("scan", "fused")]


def arguments(cell, steps, dtype=np.float32, seed=0):
    """(params, carry, xs): orthogonal recurrent weights, and biases, a carry and inputs that are not zero."""
    params = cell.init(jax.random.key(seed))
    noise = draw_like(params, seed)
    params = jax.tree.map(lambda a, n: a + n if a.ndim == 1 else a, params, noise)
    carry = draw_like(cell.initial_carry(params, (B,)), seed + 1)
    xs = np.random.default_rng(seed + 2).normal(size=(steps, B, cell.input_size))
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), (params, carry, xs))


def switches_of(name, steps):
    """Masks with a hole, an end and a row of nothing; resets at any step, masked ones too."""
    drawn = np.random.default_rng(7).random((2, steps, B))
    mask, reset = drawn[0] < 0.7, drawn[1] < 0.3
    mask[:, 1] = False
    both = {"mask": mask, "reset": reset}
    return {switch: flags for switch, flags in both.items() if name in (switch, "both")}


def last_step(mask):
    """The number of steps up to the last that is real in any row."""
    return int(np.max(np.nonzero(mask)[0], initial=-1)) + 1


def results(cell, switches):
    """A compiled function of (params, carry, xs): last carry, outputs, and all gradients of a sum that weights them."""

    @jax.jit
    def run(params, carry, xs):
        def loss(params, carry, xs):
            carry, ys = cell.unroll(params, carry, xs, **switches)
            if "mask" in switches:  # where the fused loop ends
                ys = jnp.where(np.arange(len(xs))[:, None, None] < last_step(switches["mask"]), ys, 0)
            return weighted_sum((carry, ys)), (carry, ys)

        (_, returned), gradients = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(params, carry, xs)
        return returned, gradients

    return run


def assert_equal_engines(kind, size, steps, switches, tolerance, dtype=np.float32, **options):
    """Every leaf, up to `tolerance` times its own largest entry. Outputs of masked steps count too."""
    scan, fused = pair(kind, size, **options)
    given, switches = arguments(scan, steps, dtype), switches_of(switches, steps)
    expected, actual = (results(cell, switches)(*given) for cell in (scan, fused))
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.max(np.abs(b)))


@pytest.mark.parametrize("steps", [1, 35])
@pytest.mark.parametrize("kind", MAIN)
def test_fused_equals_scan_at_any_length(kind, steps):
    assert_equal_engines(kind, 8, steps, "both", 1e-5)


def test_fused_equals_scan_at_size_200():
    assert_equal_engines("lstm", 200, 35, "plain", 1e-5)


@pytest.mark.parametrize("switches", ["mask", "reset"])
def test_fused_equals_scan_with_one_switch(switches):
    assert_equal_engines("lstm", 8, 5, switches, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("steps", [1, 2, 35])
@pytest.mark.parametrize("size", [8, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_fused_equals_scan_everywhere(kind, size, steps, switches):
    assert_equal_engines(kind, size, steps, switches, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("switches", ["plain", "both"])
@pytest.mark.parametrize(("size", "steps"), [(650, 35), (200, 128), (650, 128)])
@pytest.mark.parametrize("kind", MAIN)
def test_fused_equals_scan_at_large_sizes(kind, size, steps, switches):
    assert_equal_engines(kind, size, steps, switches, 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_in_float64(kind, x64):
    assert_equal_engines(kind, 8, 7, "both", 1e-10, np.float64)


@pytest.mark.parametrize("kind", ["rnn_tanh", "gru_after", "gru_before", "lstm"])
def test_bfloat16_operands(kind):
    assert_equal_engines(kind, 8, 7, "both", 2e-2, compute_dtype="bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("kind", MAIN)
def test_bfloat16_operands_at_size_200(kind, switches):
    assert_equal_engines(kind, 200, 35, switches, 2e-2, compute_dtype="bfloat16")


# What follows reads programs. Weights are [H, H] and larger, what a step works on is [B, 4H] at most, and smaller.
H, T = 32, 4


def training_program(cell):
    """The equations of the gradient of an unroll with resets, and whether they are inside a loop."""
    given, switches = arguments(cell, T), switches_of("reset", T)

    def loss(*given):
        return weighted_sum(cell.unroll(*given, **switches))

    return list(equations(jax.make_jaxpr(jax.grad(loss, (0, 1, 2)))(*given).jaxpr))


def carried(scan):
    """What a loop carries: of its results those without an axis of steps."""
    body = scan.params["jaxpr"]
    inside = getattr(body, "jaxpr", body).outvars
    return [v for v, of_a_step in zip(scan.outvars, inside, strict=True) if v.aval.shape == of_a_step.aval.shape]


def largest_reverse_carry(cell):
    """The entries of the largest array that a reverse loop carries."""
    sizes = []
    for equation, _ in training_program(cell):
        if equation.primitive.name == "scan" and equation.params["reverse"]:
            sizes.append(max(v.aval.size for v in carried(equation)))
    assert len(sizes) == 1
    return sizes[0]


@pytest.mark.parametrize("kind", MAIN)
def test_the_reverse_loop_carries_no_gradient_of_weights(kind):
    """That of `scan` does."""
    scan, fused = pair(kind, H)
    assert largest_reverse_carry(fused) == B * H
    assert largest_reverse_carry(scan) >= H * H


@pytest.mark.parametrize("kind", MAIN)
def test_the_loops_work_on_no_weight(kind):
    """No cast, transpose or concatenation of weights inside; their gradient is a product outside."""
    program = training_program(pair(kind, H, compute_dtype="bfloat16")[1])
    sizes = [out.aval.size for equation, inside in program if inside for out in equation.outvars]
    assert sizes and max(sizes) < H * H


@pytest.mark.parametrize("kind", MAIN)
def test_bfloat16_is_for_the_operands_of_every_recurrent_product(kind):
    """In both directions; sums, and what the loops carry, are float32."""
    fused = pair(kind, H, compute_dtype="bfloat16")[1]
    for equation, inside in training_program(fused):
        if equation.primitive.name == "dot_general" and inside:
            assert {v.aval.dtype.name for v in equation.invars} == {"bfloat16"}
            assert equation.outvars[0].aval.dtype == jnp.float32
        if equation.primitive.name == "scan":
            assert {v.aval.dtype.name for v in carried(equation)} == {"float32"}


def loop_bodies(text):
    """The number of instructions of each loop body of a compiled program, in order, without parameters and tuples."""
    bodies, name = {}, None
    for line in text.splitlines():
        head = re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        if head:
            name = head[1]
            bodies[name] = 0
        elif name and " = " in line and not re.search(r" = .*?\b(parameter|get-tuple-element|tuple|constant)\(", line):
            bodies[name] += 1
    return sorted(bodies[body] for body in re.findall(r"\bbody=%?([\w.\-]+)", text))


def compiled_loop_bodies(cell):
    """Of the gradient of an unroll without masks."""

    def loss(*given):
        return weighted_sum(cell.unroll(*given))

    return loop_bodies(jax.jit(jax.grad(loss, (0, 1, 2))).lower(*arguments(cell, T)).compile().as_text())


# forward, backward; those of `scan` are (8, 8), (7, 8), (11, 17), (15, 19), (15, 24)
INSTRUCTIONS = {"rnn_tanh": (5, 7), "rnn_relu": (5, 7), "gru_after": (8, 15), "gru_before": (9, 15), "lstm": (9, 13)}


@pytest.mark.parametrize("kind", INSTRUCTIONS)
def test_compiled_loops_have_no_more_instructions_than_recorded(kind):
    """Each is a call of a kernel, or a product."""
    bodies = compiled_loop_bodies(pair(kind, H)[1])
    assert len(bodies) == 2 and all(a <= b for a, b in zip(bodies, sorted(INSTRUCTIONS[kind]), strict=True))


@pytest.mark.parametrize("kind", MAIN)
def test_one_trace_per_shape(kind):
    cell, traces = pair(kind, 4)[1], []

    def loss(*given):
        traces.append(1)
        return weighted_sum(cell.unroll(*given))

    gradient = jax.jit(jax.grad(loss))
    for seed in range(3):
        gradient(*arguments(cell, T, seed=seed))
    assert len(traces) == 1
    assert pair(kind, 4)[1] is cell


@pytest.mark.parametrize("kind", MAIN)
@pytest.mark.parametrize(("device", "engine"), [("cpu", "fused"), ("NVIDIA H200", "fused"), ("NVIDIA H300", "scan")])
def test_auto_is_the_engine_that_was_measured_to_be_faster(kind, device, engine, monkeypatch):
    monkeypatch.setattr(selection, "device_name", lambda: device)
    auto, chosen = (KINDS[kind](4, 4, recurrence=recurrence) for recurrence in ("auto", engine))
    given = arguments(auto, T)
    # a new function each: what JAX has traced it keeps
    text = [str(jax.make_jaxpr(lambda *a, cell=cell: cell.unroll(*a))(*given)) for cell in (auto, chosen)]
    assert ["custom_vjp" in t for t in text] == [engine == "fused"] * 2


@pytest.mark.parametrize("kind", MAIN)
def test_only_the_unroll_is_another(kind):
    scan, fused = pair(kind, 4)
    given = arguments(scan, 1)
    programs = [str(jax.make_jaxpr(cell.step)(*given[:2], given[2][0])) for cell in (scan, fused)]
    assert programs[0] == programs[1]
    assert ["custom_vjp" in str(jax.make_jaxpr(cell.unroll)(*given)) for cell in (scan, fused)] == [False, True]


def test_forward_mode_needs_the_scan():
    scan, fused = pair("lstm", 4)
    given = arguments(scan, T)
    jax.jvp(scan.unroll, given, given)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(fused.unroll, given, given)


@pytest.mark.parametrize(
    ("factory", "recurrence", "engines"),
    [(rnn, "fast", ""), (rnn, "cudnn", ""), (gru, "cudnn", ""), (lstm, "fast", ", cudnn")],
)
def test_an_unknown_recurrence_is_named(factory, recurrence, engines):
    with pytest.raises(
        UserError, match=f"recurrence must be one of auto, scan, fused{engines}, pallas, got '{recurrence}'"
    ):
        factory(3, 4, recurrence=recurrence)
