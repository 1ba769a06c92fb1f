"""The loop that ends at a batch's last real step: what it returns, that it ends, and that full batches pay nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import lstm
from lm_jax.cells.engines.early_end import real_steps, scan_first
from tests.cases import weighted_sum
from tests.cells.test_fused import B, H, T, arguments, loop_bodies, pair
from tests.cells.test_loop import equations


def body(carry, slices):
    """A running sum, and what it was before."""
    x, flag = slices
    return carry + x, {"before": carry, "odd": flag}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_the_first_steps_are_those_of_lax_scan_and_the_others_zeros(count, reverse):
    xs = (jnp.arange(1.0, 7.0), jnp.arange(6) % 2 == 1)
    carry, ys = jax.jit(lambda n: scan_first(n, body, jnp.float32(10), xs, reverse=reverse))(count)
    first = jax.tree.map(lambda x: x[:count], xs)
    expected_carry, expected = jax.lax.scan(body, jnp.float32(10), first, reverse=reverse)
    assert carry == expected_carry
    for name, leaf in ys.items():
        assert leaf.shape == (6,) and leaf.dtype == expected[name].dtype
        np.testing.assert_array_equal(leaf[:count], expected[name])
        assert not leaf[count:].any()


def test_of_no_steps_at_all_none_is_done():
    """The last carry and no outputs, though a loop over them is traced."""
    carry, ys = jax.jit(lambda n: scan_first(n, body, jnp.float32(10), (jnp.zeros(0), jnp.zeros(0, bool))))(0)
    assert carry == 10 and {name: (leaf.shape, leaf.dtype) for name, leaf in ys.items()} == {
        "before": ((0,), jnp.float32),
        "odd": ((0,), bool),
    }


@pytest.mark.parametrize(
    ("rows", "count"),
    [([[0, 0]] * 3, 0), ([[0, 1], [0, 0], [0, 0]], 1), ([[0, 0], [1, 0], [0, 0]], 2), ([[1, 1]] * 3, 3)],
)
def test_the_last_real_step_is_that_of_the_longest_row(rows, count):
    assert real_steps(jnp.array(rows, bool)) == count


def test_steps_after_the_last_real_one_are_not_done():
    """A step that calls the host tells."""
    done = []

    def step(carry, x):
        jax.debug.callback(lambda t: done.append(int(t)), x, ordered=True)
        return carry, x

    jax.block_until_ready(jax.jit(lambda n: scan_first(n, step, 0, jnp.arange(8)))(3))
    jax.effects_barrier()
    assert done == [0, 1, 2]


def lengths_mask(steps, lengths):
    return jnp.arange(steps)[:, None] < jnp.array(lengths)


@pytest.mark.parametrize("lengths", [(0, 0, 0), (1, 3, 2)], ids=str)
def test_a_padded_batch_is_the_shorter_batch(lengths):
    """Outputs, carry and all gradients are those of the batch without its padding, whatever lies there."""
    cell, most = pair("lstm", 8)[1], max(lengths)
    params, carry, xs = arguments(cell, 6)
    xs = xs.at[most:].set(1e6)

    def loss(params, carry, xs):
        carry, ys = cell.unroll(params, carry, xs, mask=lengths_mask(len(xs), lengths))
        return weighted_sum((carry, ys[:most])), (carry, ys)

    gradient = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    (_, (last, ys)), (d_params, d_carry, d_xs) = gradient(params, carry, xs)
    assert not ys[most:].any() and not d_xs[most:].any()
    if not most:
        jax.tree.map(np.testing.assert_array_equal, last, carry)
        return
    expected = gradient(params, carry, xs[:most])
    actual = ((_, (last, ys[:most])), (d_params, d_carry, d_xs[:most]))
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_under_vmap_each_has_its_own_end():
    cell = lstm(3, 4, recurrence="fused")
    params, carry, xs = arguments(cell, T)
    masks = jnp.stack([lengths_mask(T, lengths) for lengths in ((1, 0, 1), (4, 2, 3))])
    last, ys = jax.vmap(lambda mask: cell.unroll(params, carry, xs, mask=mask))(masks)
    for row, mask in enumerate(masks):
        for a, b in zip(
            jax.tree.leaves((last, ys)), jax.tree.leaves(cell.unroll(params, carry, xs, mask=mask)), strict=True
        ):
            np.testing.assert_allclose(a[row], b, rtol=1e-6, atol=1e-6)


def compiled_bodies(cell):
    """Instructions of the loops of the gradient of an unroll with a mask."""
    given, mask = arguments(cell, T), lengths_mask(T, (T,) * B)

    def loss(params, carry, xs, mask):
        return weighted_sum(cell.unroll(params, carry, xs, mask=mask))

    return loop_bodies(jax.jit(jax.grad(loss, (0, 1, 2))).lower(*given, mask).compile().as_text())


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm"])
def test_an_early_end_costs_one_instruction_in_a_loop(kind, monkeypatch):
    """That of the count, against loops over all steps; each is a call of a kernel, or a product."""
    early = compiled_bodies(pair(kind, H)[1])
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    whole = compiled_bodies(pair(kind, H)[1])
    assert len(early) == len(whole) == 2 and all(a <= b + 1 for a, b in zip(early, whole, strict=True))


@pytest.mark.parametrize("kind", ["rnn_tanh", "gru_after", "gru_before", "lstm"])
def test_the_loops_carry_no_gradient_of_weights(kind):
    """What they carry has no shape of a weight."""
    cell, mask = pair(kind, H)[1], lengths_mask(T, (T,) * B)
    given = arguments(cell, T)
    program = jax.make_jaxpr(jax.grad(lambda *g: weighted_sum(cell.unroll(*g, mask=mask)), (0, 1, 2)))(*given)
    carried = [
        v.aval.shape
        for equation, _ in equations(program.jaxpr)
        if equation.primitive.name == "while"
        for v in equation.outvars
    ]
    weights = {leaf.shape for leaf in jax.tree.leaves(given[0])} | {(H, H)}
    assert carried and not weights & set(carried)
