"""What the loop over time must not do: work on weights. Read off the traced program, not off a clock."""

import jax
import jax.numpy as jnp
import pytest

from lm_jax.cells import drop_connect, gru, lstm, rnn, stacked


# Weights are [H, H] and larger, what a step works on is [B, 4H] at most, and smaller.
E, H, T, B = 48, 32, 3, 2
SCAN = {"recurrence": "scan"}  # of `fused`, see test_recurrence.py
KINDS = {
    f"{name}{'_bfloat16' if dtype else ''}": make(dtype)
    for dtype in (None, "bfloat16")
    for name, make in {
        "rnn": lambda dtype: rnn(E, H, compute_dtype=dtype, **SCAN),
        "gru_after": lambda dtype: gru(E, H, compute_dtype=dtype, **SCAN),
        "gru_before": lambda dtype: gru(E, H, reset="before", compute_dtype=dtype, **SCAN),
        "lstm": lambda dtype: lstm(E, H, compute_dtype=dtype, **SCAN),
        "drop_connect": lambda dtype: drop_connect(lstm(E, H, compute_dtype=dtype, **SCAN), 0.5),
        "stack": lambda dtype: stacked(
            [gru(H, H, compute_dtype=dtype, **SCAN), lstm(H, H, compute_dtype=dtype, **SCAN)], "highway"
        ),
    }.items()
}


def equations(jaxpr, inside_loop=False):
    """Every equation of a traced program, and whether it is inside a loop."""
    for equation in jaxpr.eqns:
        yield equation, inside_loop
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from equations(inner, inside_loop or equation.primitive.name in ("scan", "while"))


def traced(cell):
    """The equations of a training unroll with masks and resets."""
    params = jax.eval_shape(cell.init, jax.random.key(0))
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, (B,)), params)
    xs = jax.ShapeDtypeStruct((T, B, cell.input_size), jnp.float32)
    flags = jax.ShapeDtypeStruct((T, B), bool)

    def unroll(params, carry, xs, mask, reset):
        return cell.unroll(params, carry, xs, mask=mask, reset=reset, key=jax.random.key(0))

    return list(equations(jax.make_jaxpr(unroll)(params, carry, xs, flags, flags).jaxpr))


@pytest.mark.parametrize("cell", KINDS.values(), ids=KINDS)
def test_no_weight_is_computed_inside_the_loop(cell):
    program = traced(cell)
    sizes = [out.aval.size for equation, inside in program if inside for out in equation.outvars]
    assert sizes and max(sizes) < H * H


@pytest.mark.parametrize("cell", KINDS.values(), ids=KINDS)
def test_only_the_recurrent_product_is_inside_the_loop(cell):
    """The input's share is one product for all steps: inside, no operand has its rows."""
    if cell.input_size == H:
        pytest.skip("a stack of square weights cannot tell them apart")
    products = [
        (equation.invars[1].aval.shape, inside)
        for equation, inside in traced(cell)
        if equation.primitive.name == "dot_general"
    ]
    assert {shape[0] for shape, inside in products if inside} == {H}
    assert {shape[0] for shape, inside in products if not inside} == {E}


@pytest.mark.parametrize("cell", [KINDS["lstm_bfloat16"], KINDS["gru_before_bfloat16"]])
def test_bfloat16_is_for_operands_only(cell):
    """Products take bfloat16 and accumulate in float32; what the loop carries is float32."""
    program = traced(cell)
    for equation, _ in program:
        if equation.primitive.name == "dot_general":
            assert {v.aval.dtype.name for v in equation.invars} == {"bfloat16"}
            assert equation.outvars[0].aval.dtype == jnp.float32
    scans = [equation for equation, _ in program if equation.primitive.name == "scan"]
    assert scans and all(v.aval.dtype == jnp.float32 for scan in scans for v in scan.outvars)
