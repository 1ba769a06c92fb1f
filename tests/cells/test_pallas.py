"""The kernels for TPUs without a TPU: in interpret modes they equal `scan`, and they are lowered for a TPU."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental.pallas import tpu as pltpu

from lm_jax import UserError
from lm_jax.cells import gru, lstm, rnn
from lm_jax.cells.engines.pallas import VMEM_BUDGET, on_any_machine, vmem_bytes
from tests.cases import assert_identical, draw_like, weighted_sum
from tests.cells.test_fused import KINDS, arguments, switches_of


MAIN = ["lstm", "gru_after", "gru_before", "rnn_tanh"]


def kernel_cell(kind, size, interpret=True, **options):
    """A cell on this engine, which is not remembered: others are not to be given it without asking."""
    make = KINDS[kind]
    factory, fixed = getattr(make, "func", make), getattr(make, "keywords", {})
    with on_any_machine(interpret):
        return factory.__wrapped__(size, size, recurrence="pallas", **fixed, **options)


def results(cell, given, switches):
    """Last carry, outputs, and all gradients of a sum that weights them."""

    @jax.jit
    def run(*given):
        def loss(*given):
            returned = cell.unroll(*given, **switches)
            return weighted_sum(returned), returned

        (_, returned), gradients = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(*given)
        return returned, gradients

    return run(*given)


def errors(actual, expected):
    """Of every leaf the largest difference, as a share of its own largest entry."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    return [float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in pairs]


def assert_equal_engines(kind, size, steps, switches, tolerance=1e-5, interpret: Any = True, dtype: Any = np.float32):
    """Outputs of masked steps count too."""
    scan = KINDS[kind](size, size, recurrence="scan")
    given, switches = arguments(scan, steps, dtype), switches_of(switches, steps)
    found = [results(cell, given, switches) for cell in (kernel_cell(kind, size, interpret), scan)]
    assert max(errors(*found)) < tolerance


@pytest.mark.parametrize("kind", MAIN)
def test_two_blocks_of_steps_equal_the_scan(kind):
    """3 rows are padded to 8, of which 16 steps fit into a block: 20 steps are two of 10."""
    assert_equal_engines(kind, 8, 20, "both")


def test_the_simulated_tpu_equals_the_scan():
    """What was not written is NaN there. 37 steps are padded to three blocks of 16."""
    assert_equal_engines("rnn_relu", 8, 37, "plain", interpret=pltpu.InterpretParams())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_simulated_tpu_equals_the_scan_everywhere(kind):
    for size, steps, switches in ((8, 37, "plain"), (130, 5, "both"), (8, 1, "mask"), (8, 7, "reset")):
        assert_equal_engines(kind, size, steps, switches, interpret=pltpu.InterpretParams())


@pytest.mark.slow
@pytest.mark.parametrize("switches", ["plain", "both"])
@pytest.mark.parametrize("steps", [1, 2, 35, 128])
@pytest.mark.parametrize("size", [8, 128, 200, 650])
@pytest.mark.parametrize("kind", MAIN)
def test_equals_the_scan_at_all_sizes(kind, size, steps, switches):
    assert_equal_engines(kind, size, steps, switches)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_scan_in_float64(kind, x64):
    assert_equal_engines(kind, 8, 37, "both", 1e-12, dtype=np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAIN)
def test_two_tiles_of_rows_equal_the_scan(kind):
    """130 rows are two tiles of 72; batch axes are several, and one row has none."""
    scan, cell = KINDS[kind](8, 8, recurrence="scan"), kernel_cell(kind, 8)
    params, _, _ = arguments(scan, 1)
    for batch in ((2, 65), ()):
        carry = draw_like(scan.initial_carry(params, batch), 1)
        given = params, carry, draw_like(jnp.zeros((2, *batch, 8)), 2)
        assert max(errors(results(cell, given, {}), results(scan, given, {}))) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAIN)
def test_several_seeds_side_by_side(kind):
    """The kernels under `vmap`, over weights too."""
    scan, cell = KINDS[kind](8, 8, recurrence="scan"), kernel_cell(kind, 8)
    many = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(arguments(scan, 20, seed=seed) for seed in range(3)))

    def gradients(cell):
        def loss(*given):
            return weighted_sum(cell.unroll(*given, **switches_of("both", 20)))

        return jax.jit(jax.vmap(jax.grad(loss, (0, 1, 2))))(*many)

    assert max(errors(gradients(cell), gradients(scan))) < 1e-5


def test_no_steps_and_no_rows_are_left_to_the_scan():
    cell = kernel_cell("lstm", 4)
    params, carry, xs = arguments(cell, 2)
    last, ys = cell.unroll(params, carry, xs[:0])
    assert_identical(last, carry)
    assert ys.shape == (0, 3, 4)
    assert cell.unroll(params, cell.initial_carry(params, (0,)), xs[:, :0])[1].shape == (2, 0, 4)


def rounding_errors(kind, size, steps, given_dtype=np.float32):
    """(this engine's, the scan's) errors with operands in bfloat16, against the scan in float64."""
    scan = KINDS[kind](size, size, recurrence="scan", compute_dtype="bfloat16")
    given, switches = arguments(scan, steps, given_dtype), switches_of("both", steps)
    wide = jax.tree.map(lambda a: np.asarray(a, np.float64), given)
    exact = results(KINDS[kind](size, size, recurrence="scan"), wide, switches)
    cells = kernel_cell(kind, size, compute_dtype="bfloat16"), scan
    return [max(errors(results(cell, given, switches), exact)) for cell in cells]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [2, 35])
@pytest.mark.parametrize("size", [8, 200])
@pytest.mark.parametrize("kind", MAIN)
def test_operands_in_bfloat16_cost_no_more_than_in_the_scan(kind, size, steps, x64):
    """A product's operand is off by a share of 2^-9 at most, a sum of many by less, one that cancels by more: of every
    leaf, as a share of its largest entry, the error is below 10 * 2^-9, about 2 %, and 1.5 times that of the scan."""
    ours, scans = rounding_errors(kind, size, steps)
    assert 1e-5 < ours < 10 * 2**-9
    assert ours < 1.5 * scans


def lowered(cell, switches="both", steps=20):
    """The program for a TPU of outputs and all gradients, as text."""
    given, switches = arguments(cell, steps), switches_of(switches, steps)

    def loss(*given):
        carry, ys = cell.unroll(*given, **switches)
        return sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves((carry, ys)))

    programs = (jax.jit(lambda *given: cell.unroll(*given, **switches)), jax.jit(jax.grad(loss, (0, 1, 2))))
    return [export.export(program, platforms=["tpu"])(*given).mlir_module() for program in programs]


def assert_lowered(kind, size, compute_dtype, switches):
    """One kernel forward, one more for the gradient, and no loop around them."""
    cell = kernel_cell(kind, size, interpret=False, compute_dtype=compute_dtype)
    for count, text in enumerate(lowered(cell, switches), 1):
        assert text.count("@tpu_custom_call") == count
        assert "stablehlo.while" not in text


@pytest.mark.parametrize(("kind", "compute_dtype"), [("lstm", None), ("gru_after", "bfloat16")])
def test_is_lowered_for_a_tpu(kind, compute_dtype):
    assert_lowered(kind, 200, compute_dtype, "both" if compute_dtype else "plain")


@pytest.mark.slow
@pytest.mark.parametrize("compute_dtype", [None, "bfloat16"], ids=str)
@pytest.mark.parametrize("size", [8, 650])
@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_lowered_for_a_tpu(kind, size, compute_dtype):
    for switches in ("plain", "mask", "both"):
        assert_lowered(kind, size, compute_dtype, switches)


def test_the_bytes_of_an_lstm_of_650_units():
    """768 lanes: W_h and d W_h 768 x 3072 x 4 each; 2 x 128 rows x 4 bytes of d y, h, c, 4 gates, 4 of d z, and h, c of
    the adjoint in and out; and flags."""
    weights, streams, flags = 768 * 3072 * 4, 2 * 128 * 4 * 768 * (1 + 2 + 4 + 4 + 4), 2 * 128 * 128 * 4
    assert vmem_bytes(650, None, gates=4, states=2, saved=4) == 2 * weights + streams + flags == 30_801_920
    assert vmem_bytes(650, "bfloat16", gates=4, states=2, saved=4) == 1.5 * weights + streams + flags


@pytest.mark.parametrize(("make", "largest", "in_bfloat16"), [(lstm, 1024, 1152), (gru, 1152, 1280), (rnn, 2048, 2304)])
def test_weights_that_do_not_fit_are_refused(make, largest, in_bfloat16):
    for size, compute_dtype in ((largest, None), (in_bfloat16, "bfloat16")):
        with on_any_machine(True):
            make.__wrapped__(8, size, recurrence="pallas", compute_dtype=compute_dtype)
            with pytest.raises(UserError, match=f"at most 48 MiB of VMEM, got hidden_size {size + 1}, which needs"):
                make.__wrapped__(8, size + 1, recurrence="pallas", compute_dtype=compute_dtype)
    assert VMEM_BUDGET == 48 * 2**20


@pytest.mark.parametrize("make", [lstm, gru, rnn])
def test_without_a_tpu_it_is_refused(make):
    with pytest.raises(UserError, match='recurrence "pallas" needs a TPU, got cpu; choose scan'):
        make(3, 4, recurrence="pallas")


def test_several_devices_are_refused():
    cell = kernel_cell("lstm", 4)
    with jax.set_mesh(jax.make_mesh((1,), ("data",))):
        with pytest.raises(UserError, match='"pallas" runs on one device, got several; choose scan'):
            cell.unroll(*arguments(cell, 2))
