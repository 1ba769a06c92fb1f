"""Any cell in parallel over time equals its loop, values and gradients, and says what it did."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError, cells
from lm_jax.cells import unroll_parallel
from lm_jax.cells.base import select
from tests.cases import ALL, NONE, assert_close, assert_identical, make_case, row, weighted_sum
from tests.catalogue import CELLS
from tests.cells.test_loop import equations


TOLERANCES = {"float32": 1e-5, "float64": 1e-10}
# one of the most general kind, and one with units; all others with the slow tests, as each takes seconds to compile
FAST = (("lstm", "dense", "float64"), ("diagonal_lstm", "units", "float32"))
UNITS = ("diagonal_gru", "diagonal_lstm", "mingru", "minlstm", "lru", "rglru")
PAIRS = [(name, "dense") for name in CELLS if not name.endswith("bfloat16")] + [(name, "units") for name in UNITS]
PAIRS += [("gru_after", "diagonal"), ("cornn", "diagonal")]
EACH = [(*pair, dtype) for pair in PAIRS for dtype in TOLERANCES]
EACH = [pytest.param(*one, marks=[pytest.mark.slow] * (one not in FAST)) for one in EACH]


def random_case(name, steps, dtype, seed=1):
    """The entry in a type, inputs [T, 4, E], ragged rows one of which is empty, and resets anywhere.

    Another seed may have gradients that float32 does not know to 1e-5: under 0 those of the loop of `stack_blocks` are
    8e-5 from those of float64, the parallel ones 1e-5.
    """
    case, generator = make_case(CELLS[name]), np.random.default_rng(seed)
    params, carry = jax.tree.map(lambda a: jnp.asarray(a, dtype), (case.params, case.carry))
    xs = jnp.asarray(generator.normal(size=(steps, 4, case.subject.input_size)), dtype)
    mask = np.arange(steps)[:, None] < np.array([steps, 0, (steps + 1) // 2, 1])
    return case._replace(params=params, carry=carry, xs=xs), mask, generator.random((steps, 4)) < 0.15


def both(case, mask, reset, **settings):
    """(value, gradients, (carry, visible outputs)) of the parallel form and of the loop; the record of the former."""

    def with_gradients(unroll):
        def loss(params, carry, xs):
            (last, ys), record = unroll(params, carry, xs)
            return weighted_sum((last, ys), mask), ((last, jnp.where(mask[..., None], ys, 0)), record)

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(case.params, case.carry, case.xs)

    def parallel(params, carry, xs):
        last, ys, *record = unroll_parallel(case.subject, params, carry, xs, mask=mask, reset=reset, **settings)
        return (last, ys), record

    def loop(params, carry, xs):
        def body(carry, slices):
            x, keep, restart = slices
            initial = case.subject.initial_carry(params, restart.shape)
            new, y = case.subject.step(params, select(restart, initial, carry), x)
            return select(keep, new, carry), y

        return jax.lax.scan(body, carry, (xs, mask, reset)), None

    ((value, (out, record)), gradient), ((expected, (out_, _)), gradient_) = map(with_gradients, (parallel, loop))
    return (value, gradient, out), (expected, gradient_, out_), record


@pytest.mark.parametrize(("name", "jacobian", "dtype"), EACH)
def test_equals_the_loop(name, jacobian, dtype, x64):
    case, mask, reset = random_case(name, 37, dtype)
    actual, expected, (iterations, residual, sequential) = both(case, mask, reset, jacobian=jacobian)
    assert_close(actual, expected, TOLERANCES[dtype])
    assert not sequential and iterations <= (37 if jacobian == "diagonal" else 12)
    assert residual <= 32 * np.finfo(dtype).eps
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(actual))


@pytest.mark.parametrize("steps", [1, 2, pytest.param(256, marks=pytest.mark.slow)])
def test_sequences_of_any_length(steps):
    case, mask, reset = random_case("rnn_tanh", steps, "float32")
    actual, expected, (iterations, _, sequential) = both(case, mask, reset)
    assert_close(actual, expected, 1e-5)
    assert not sequential and iterations <= steps


def test_no_steps_change_nothing():
    case = make_case(CELLS["rnn_tanh"])
    carry, ys, iterations, _, sequential = unroll_parallel(case.subject, case.params, case.carry, case.xs[:0])
    assert_identical(carry, case.carry)
    assert ys.shape == (0, 4, 4) and iterations == 0 and not sequential


def chaotic(steps, dtype, gain=5.0):
    """A simple network of 16 units with large recurrent weights: (cell, params, carry, xs)."""
    cell = cells.rnn(2, 16, recurrence="scan")
    params = cell.init(jax.random.key(0))
    params = jax.tree.map(lambda a: jnp.asarray(a, dtype), params.replace(w_h=gain * params.w_h))
    xs = jnp.asarray(np.random.default_rng(1).normal(size=(steps, 2)), dtype)
    return cell, params, cell.initial_carry(params, ()), xs


def test_chaos_is_left_to_the_loop(x64):
    """Newton's method does not get there in 64 iterations; values and gradients are right all the same.

    In float64: the rounding of two programs of the same loop grows along the sequence, in float32 to whole units.
    """
    cell, *arguments = chaotic(80, "float64")

    def loss(unroll):
        def value(params, carry, xs):
            last, ys, *record = unroll(params, carry, xs)
            return jnp.sum(jnp.sin(ys)) + jnp.sum(last), record

        return jax.jit(jax.value_and_grad(value, (0, 1, 2), has_aux=True))(*arguments)

    (value, record), gradient = loss(lambda *a: unroll_parallel(cell, *a))
    (expected, _), gradient_ = loss(cell.unroll)
    iterations, residual, sequential = record
    assert sequential and iterations == 64 and not residual < 1e-3
    scale = max(float(np.max(np.abs(leaf))) for leaf in jax.tree.leaves(gradient_))
    assert scale > 1e6  # or it is no chaos
    gradient, gradient_ = (jax.tree.map(lambda leaf: leaf / scale, g) for g in (gradient, gradient_))
    assert_close((value, gradient), (expected, gradient_), 1e-4)


def test_as_many_iterations_as_steps_always_suffice(x64):
    cell, *arguments = chaotic(24, "float64", gain=3.0)
    solved = jax.jit(lambda *a: unroll_parallel(cell, *a, max_iterations=1000))(*arguments)
    assert 12 < solved.iterations <= 24 and not solved.sequential
    assert_close((solved.carry, solved.outputs), cell.unroll(*arguments), 1e-6)  # rounding grows in chaos


def test_an_overflow_is_left_to_the_loop():
    """The states of an unstable linear network are no numbers in the end, as in the loop."""
    cell = cells.rnn(2, 3, nonlinearity="identity", recurrence="scan")
    params = cell.init(jax.random.key(0))
    params, xs = params.replace(w_h=3 * jnp.eye(3)), jnp.ones((100, 2))
    carry = cell.initial_carry(params, ())
    solved = jax.jit(lambda p: unroll_parallel(cell, p, carry, xs))(params)
    assert solved.sequential and not np.isfinite(solved.outputs[-1]).any()
    assert_close(solved.outputs[:60], cell.unroll(params, carry, xs)[1][:60], 1e-5)


def test_a_linear_recurrence_takes_one_iteration():
    case = make_case(CELLS["rnn_identity"])
    solved = unroll_parallel(case.subject, case.params, case.carry, case.xs)
    assert 1 <= solved.iterations <= 2 and not solved.sequential


def test_masked_steps_leave_the_carry_untouched():
    """Bit for bit, though they ask for a reset; nothing is to be found."""
    case = make_case(CELLS["lstm"])
    solved = unroll_parallel(case.subject, case.params, case.carry, case.xs, mask=NONE, reset=ALL)
    assert_identical(solved.carry, case.carry)
    assert solved.iterations == 0 and np.isfinite(solved.outputs).all()


def test_any_batch_axes_and_vmap():
    case = make_case(CELLS["rnn_tanh"])
    unroll = jax.jit(lambda carry, xs: unroll_parallel(case.subject, case.params, carry, xs)[:2])
    whole = case.subject.unroll(case.params, case.carry, case.xs)
    case.close(unroll(row(case.carry, 2), case.xs[:, 2]), (row(whole[0], 2), row(whole[1], 2, axis=1)))
    grid = unroll(case.carry.reshape(2, 2, -1), case.xs.reshape(len(case.xs), 2, 2, -1))
    case.close((grid[0].reshape(4, -1), grid[1].reshape(whole[1].shape)), whole)
    case.close(jax.vmap(unroll, in_axes=(0, 1), out_axes=(0, 1))(case.carry, case.xs), whole)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("rnn_tanh", {"jacobian": "sparse"}),
        ("rnn_tanh", {"damping": 1.0}),
        ("rnn_tanh", {"max_iterations": 0}),
        ("rnn_tanh", {"tolerance": 0.0}),
        ("mlstm", {"jacobian": "units"}),
    ],
)
def test_what_cannot_be_is_refused(name, settings):
    case = make_case(CELLS[name])
    with pytest.raises(UserError, match=next(iter(settings))):
        unroll_parallel(case.subject, case.params, case.carry, case.xs, **settings)


def test_a_carry_of_integers_is_refused():
    case = make_case(CELLS["rnn_tanh"])
    with pytest.raises(UserError, match="real numbers"):
        unroll_parallel(case.subject, case.params, jnp.zeros((4, 4), jnp.int32), case.xs)


def test_damped_iterations_end_at_the_same_states():
    case = make_case(CELLS["gru_after"])
    plain, damped = (unroll_parallel(case.subject, case.params, case.carry, case.xs, damping=d) for d in (0.0, 0.5))
    case.close(damped[:2], plain[:2])
    assert plain.iterations <= damped.iterations <= len(case.xs) and not damped.sequential


def test_products_of_the_solver_are_exact_on_every_device():
    """Accelerators multiply float32 with fewer bits unless they are told: then no residual comes down to the bound."""
    cell = cells.lstm(3, 4)
    params = cell.init(jax.random.key(0))
    carry, xs = cell.initial_carry(params, (2,)), jnp.ones((5, 2, 3))

    def loss(params, carry, xs):
        return weighted_sum(unroll_parallel(cell, params, carry, xs)[:2])

    program = equations(jax.make_jaxpr(jax.grad(loss))(params, carry, xs).jaxpr)
    found = [e.params["precision"] for e, in_loop in program if e.primitive.name == "dot_general" and in_loop]
    assert len(found) > 5 and set(found) == {(jax.lax.Precision.HIGHEST,) * 2}
