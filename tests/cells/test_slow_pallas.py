"""What takes minutes of the kernels for TPUs: the laws of a cell in an interpret mode, and the compiler for TPUs."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import topologies

from tests.cases import make_case
from tests.catalogue import BFLOAT16, entry
from tests.cells.test_fused import KINDS
from tests.cells.test_pallas import MAIN, kernel_cell
from tests.laws import Laws


pytestmark = pytest.mark.slow
LAWFUL = {kind: functools.partial(entry, kernel_cell(kind, 4)) for kind in MAIN}
LAWFUL |= {"lstm_bfloat16": lambda: entry(kernel_cell("lstm", 4, compute_dtype="bfloat16"), **BFLOAT16)}


@pytest.fixture(scope="module", params=LAWFUL)
def case(request):
    """A cell on this engine."""
    return make_case(LAWFUL[request.param]())


class TestKernels(Laws):
    """The laws, over every cell that has kernels."""


@pytest.fixture(scope="module", params=["v5e:2x2", "v6e:2x2"])
def chip(request):
    """Where a program for a chip of this kind is compiled for: no chip is needed, but its compiler, `pip install
    libtpu` of the version that this JAX names."""
    pytest.importorskip("libtpu", reason="the compiler for TPUs is not installed: pip install libtpu")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TPU_SKIP_MDS_QUERY", "1")  # else it asks Google's metadata server for minutes
        topology = topologies.get_topology_desc(request.param, platform="tpu")
        yield jax.sharding.SingleDeviceSharding(topology.devices[0])


def assert_compiled(chip, kind, size, rows, steps, compute_dtype):
    """The gradient, with masks and resets: both kernels, in the VMEM that they ask for."""
    cell = kernel_cell(kind, size, interpret=False, compute_dtype=compute_dtype)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    carry = jax.eval_shape(functools.partial(cell.initial_carry, batch_shape=(rows,)), params)
    flags = jax.ShapeDtypeStruct((steps, rows), jnp.bool_)
    given = params, carry, jax.ShapeDtypeStruct((steps, rows, size), jnp.float32), flags, flags

    def loss(params, carry, xs, mask, reset):
        returned = cell.unroll(params, carry, xs, mask=mask, reset=reset)
        return sum(jnp.sum(leaf * leaf) for leaf in jax.tree.leaves(returned))

    placed = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=chip), given)
    text = jax.jit(jax.grad(loss, (0, 1, 2))).lower(*placed).compile().as_text()
    assert text and text.count('custom_call_target="tpu_custom_call"') == 2


@pytest.mark.parametrize("compute_dtype", [None, "bfloat16"], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_compiler_takes_the_kernels(chip, kind, compute_dtype):
    assert_compiled(chip, kind, 200, 20, 35, compute_dtype)


@pytest.mark.parametrize(
    ("kind", "size", "compute_dtype"),
    [("lstm", 1024, None), ("lstm", 1152, "bfloat16"), ("gru_after", 1152, None), ("rnn_tanh", 2048, None)],
)
def test_the_compiler_takes_the_largest_that_is_not_refused(chip, kind, size, compute_dtype):
    assert_compiled(chip, kind, size, 256, 64, compute_dtype)
