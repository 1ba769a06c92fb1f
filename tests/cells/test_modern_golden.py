"""Cells after the LSTM against what other implementations wrote (tests/golden/regenerate_modern_recurrences.py)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import cells


GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "modern_recurrences.npz")
CELLS = {
    "mingru": (cells.mingru, {}, {"b": np.zeros(8)}, 1e-10),
    "minlstm": (cells.minlstm, {}, {"b": np.zeros(12)}, 1e-10),
    "lru": (cells.lru, {}, {}, 1e-5),  # written in float32
    "rglru": (cells.rglru, {}, {"w_x": np.eye(4), "b_x": np.zeros(4)}, 1e-10),
    "cornn": (cells.cornn, {"dt": 0.1, "gamma": 3.0, "epsilon": 5.0}, {}, 1e-10),
    "slstm": (cells.slstm, {"heads": 2}, {}, 1e-10),
    "mlstm": (cells.mlstm, {"heads": 2}, {}, 1e-10),
    "gated_deltanet": (cells.gated_deltanet, {"heads": 2}, {}, 1e-5),  # written in float32
}


@pytest.mark.parametrize("name", CELLS)
def test_outputs_equal_those_of_another_implementation(name, x64):
    factory, options, missing, tolerance = CELLS[name]
    found = {key.split("/")[1]: GOLDEN[key] for key in GOLDEN.files if key.startswith(f"{name}/")} | missing
    x, y = (np.asarray(found.pop(key), np.float64) for key in "xy")
    cell = factory(x.shape[-1], y.shape[-1], **options)
    drawn = jax.eval_shape(cell.init, jax.random.key(0))
    assert set(found) == set(vars(drawn))
    params = drawn.replace(**{key: jnp.asarray(value, jnp.float64) for key, value in found.items()})
    _, ys = jax.jit(cell.unroll)(params, cell.initial_carry(params, x.shape[1:2]), jnp.asarray(x))
    np.testing.assert_allclose(ys, y, rtol=0, atol=tolerance * max(1, np.abs(y).max()))
    assert np.abs(y).max() > 0.1
