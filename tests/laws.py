"""The laws of whatever unrolls over time, cells and language models alike, as one class of tests.

A test module gives them a fixture `case`, and they run over the whole catalogue. Where `run` is asked for, they run
operation by operation and compiled.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.cells import Cell
from tests.cases import (
    ALL,
    MASK,
    NONE,
    RESET,
    SWITCHES,
    B,
    T,
    assert_identical,
    draw_inputs,
    draw_like,
    hide,
    is_floating,
    joined,
    row,
    step_by_step,
    weighted_sum,
    where,
)


def skip_without_gradient(case):
    """For tables of counts."""
    if not case.entry.differentiable:
        pytest.skip("estimated from counts: there is no gradient")


class Laws:
    """One test per law; `case` is a Case, `run` compiles or not."""

    @pytest.mark.parametrize("batch", [(), (B,), (2, 2)], ids=str)
    def test_step_returns_a_carry_like_the_one_it_takes(self, case, batch):
        carry = jax.eval_shape(lambda params: case.subject.initial_carry(params, batch), case.params)
        assert all(leaf.shape[: len(batch)] == batch for leaf in jax.tree.leaves(carry))
        new, y = jax.eval_shape(case.subject.step, case.params, carry, draw_inputs(case.subject, batch))
        assert jax.tree.structure(new) == jax.tree.structure(carry)
        for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(carry), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert y.shape[:-1] == batch and y.dtype == jnp.float32

    def test_step_takes_any_batch_axes(self, case, run):
        step, grid = run(case.subject.step), lambda tree: jax.tree.map(lambda a: a.reshape(2, 2, *a.shape[1:]), tree)
        flat = step(case.params, case.carry, case.xs[0])
        case.close(step(case.params, grid(case.carry), grid(case.xs[0])), grid(flat))
        case.close(step(case.params, row(case.carry, 2), case.xs[0, 2]), row(flat, 2))

    @pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
    def test_unroll_equals_steps(self, case, run, switches):
        carry, ys = run(case.subject.unroll)(case.params, case.carry, case.xs, **switches)
        expected_carry, expected_ys = step_by_step(
            case.subject, case.params, case.carry, case.xs, step=run(case.subject.step), **switches
        )
        valid = switches.get("mask", ALL)
        case.close((carry, hide(valid, ys)), (expected_carry, hide(valid, expected_ys)))
        assert np.isfinite(ys).all()

    def test_gradient_equals_that_of_steps(self, case):
        skip_without_gradient(case)
        arguments = (case.params, case.carry, case.xs)
        differentiated = (0, 1, 2) if isinstance(case.subject, Cell) else (0, 1)

        def through_unroll(params, carry, xs):
            return weighted_sum(case.subject.unroll(params, carry, xs, mask=MASK, reset=RESET), MASK)

        def through_steps(params, carry, xs):
            def body(carry, slices):
                x, keep, restart = slices
                new, y = case.subject.step(params, where(restart, case.subject.initial_carry(params, (B,)), carry), x)
                return where(keep, new, carry), y

            return weighted_sum(jax.lax.scan(body, carry, (xs, MASK, RESET)), MASK)

        def gradient(f):
            leaves = jax.tree.leaves(jax.jit(jax.grad(f, differentiated, allow_int=True))(*arguments))
            return [leaf for leaf in leaves if is_floating(leaf)]

        actual, expected = gradient(through_unroll), gradient(through_steps)
        case.close(actual, expected)
        assert all(np.isfinite(leaf).all() for leaf in actual)

    def test_gradient_agrees_with_finite_differences(self, case, x64):
        if not case.entry.smooth:
            pytest.skip("operands rounded to bfloat16 have no derivative")
        point = jax.tree.map(lambda a: np.asarray(a, np.float64 if is_floating(a) else None), (case.params, case.carry))
        xs = np.asarray(case.xs, np.float64) if isinstance(case.subject, Cell) else case.xs
        direction = draw_like(point, seed=5)

        @jax.jit
        def value_and_slope(by):
            def loss(by):
                moved = jax.tree.map(lambda a, d: a + by * d if is_floating(a) else a, point, direction)
                return weighted_sum(case.subject.unroll(*moved, xs, mask=MASK, reset=RESET), MASK)

            return jax.value_and_grad(loss)(by)

        (above, _), (_, slope), (below, _) = map(value_and_slope, (1e-5, 0.0, -1e-5))
        np.testing.assert_allclose(slope, (above - below) / 2e-5, rtol=1e-6)

    def test_unroll_in_two_parts_equals_one(self, case, run):
        unroll = run(case.subject.unroll)
        whole = unroll(case.params, case.carry, case.xs, mask=MASK, reset=RESET)
        carry, first = unroll(case.params, case.carry, case.xs[:3], mask=MASK[:3], reset=RESET[:3])
        carry, second = unroll(case.params, carry, case.xs[3:], mask=MASK[3:], reset=RESET[3:])
        case.close((carry, hide(MASK, joined(first, second))), (whole[0], hide(MASK, whole[1])))

    def test_masked_steps_leave_the_carry_untouched(self, case, run):
        """Bit for bit, though they ask for a reset."""
        carry, ys = run(case.subject.unroll)(case.params, case.carry, case.xs, mask=NONE, reset=ALL)
        assert_identical(carry, case.carry)
        assert np.isfinite(ys).all()

    def test_mask_of_a_single_step(self, case, run):
        keep = np.array([True, False, True, False])
        carry, _ = run(case.subject.unroll)(case.params, case.carry, case.xs[:1], mask=keep[None])
        stepped, _ = run(case.subject.step)(case.params, case.carry, case.xs[0])
        case.close(carry, where(keep, stepped, case.carry))
        assert_identical(row(carry, 1), row(case.carry, 1))

    def test_packed_stream_equals_its_sequences(self, case, run):
        unroll, starts = run(case.subject.unroll), np.zeros((T, B), bool)
        starts[[0, 3]] = True
        carry, ys = unroll(case.params, case.carry, case.xs, mask=ALL, reset=starts)
        _, first = unroll(case.params, case.initial(), case.xs[:3], mask=ALL[:3], reset=NONE[:3])
        last, second = unroll(case.params, case.initial(), case.xs[3:], mask=ALL[3:], reset=NONE[3:])
        case.close((carry, ys), (last, joined(first, second)))

    def test_padded_equals_truncated(self, case, run):
        lengths = [6, 0, 4, 1]
        mask = np.arange(T)[:, None] < np.array(lengths)
        carry, ys = run(case.subject.unroll)(case.params, case.carry, case.xs, mask=mask, reset=NONE)
        for b, length in enumerate(lengths):
            alone = row(case.carry, b)
            for t in range(length):
                alone, y = run(case.subject.step)(case.params, alone, case.xs[t, b])
                case.close(ys[t, b], y)
            case.close(row(carry, b), alone)

    def test_batched_equals_mapped_equals_single(self, case):
        batched = jax.jit(case.subject.unroll)(case.params, case.carry, case.xs)
        mapped = jax.vmap(case.subject.unroll, in_axes=(None, 0, 1), out_axes=(0, 1))
        case.close(jax.jit(mapped)(case.params, case.carry, case.xs), batched)
        single = jax.jit(case.subject.unroll)(case.params, row(case.carry, 2), case.xs[:, 2])
        case.close(single, (row(batched[0], 2), row(batched[1], 2, axis=1)))

    def test_later_inputs_change_no_earlier_output(self, case, run):
        unroll = run(case.subject.unroll)
        later = joined(case.xs[:3], draw_inputs(case.subject, (3, B), seed=6))
        _, ys = unroll(case.params, case.carry, case.xs)
        _, changed = unroll(case.params, case.carry, later)
        np.testing.assert_array_equal(ys[:3], changed[:3])
        assert np.any(np.asarray(ys[3:]) != changed[3:])

    def test_only_a_key_brings_randomness(self, case, run):
        def ys(key):
            return run(case.subject.unroll)(case.params, case.carry, case.xs, key=key)[1]

        np.testing.assert_array_equal(ys(None), ys(None))
        np.testing.assert_array_equal(ys(jax.random.key(1)), ys(jax.random.key(1)))
        assert np.any(ys(jax.random.key(1)) != ys(jax.random.key(2))) == case.entry.drops
        assert np.any(ys(jax.random.key(1)) != ys(None)) == case.entry.drops

    def test_chunks_that_hand_on_the_carry_trace_once(self, case):
        traces = []

        @jax.jit
        def unroll(params, carry, xs):
            traces.append(1)
            return case.subject.unroll(params, carry, xs, mask=MASK, reset=RESET)

        carry = case.initial()
        for _ in range(3):
            carry, _ = unroll(case.params, carry, case.xs)
        assert len(traces) == 1

    def test_initial_carry_can_be_donated(self, case):
        """No array stands in it twice: a buffer may be donated only once."""
        leaves = jax.tree.leaves(case.initial())
        assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
