"""Parameters are float32 whatever JAX takes for a number that nobody gave a type: also with JAX_ENABLE_X64."""

import jax
import jax.numpy as jnp
import pytest

from tests.catalogue import CELLS, MODELS


NAMES = [name for name in (*CELLS, *MODELS) if "running" not in name and "user" not in name]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_float32_where_numbers_are_float64(name):
    subject = {**CELLS, **MODELS}[name].subject
    shapes = jax.eval_shape(subject.init, jax.random.key(0))
    found = {leaf.dtype for leaf in jax.tree.leaves(shapes) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert found <= {jnp.dtype("float32")}
