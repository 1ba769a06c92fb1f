"""DropConnect: an unroll with masked recurrent weights, the mask inferred from what the cell does with it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.cells import drop_connect, gru, lstm, rnn, stacked
from lm_jax.models.build import from_config
from tests.catalogue import running_mean
from tests.runs.toy import model_config


E, H, T = 3, 6, 5
CELLS = {"rnn": rnn(E, H), "gru": gru(E, H), "gru_before": gru(E, H, reset="before"), "lstm": lstm(E, H)}
LINEAR = rnn(1, H, nonlinearity="identity")


def normal(shapes, seed=0):
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), jnp.float32), shapes)


def params_of(cell):
    return normal(jax.eval_shape(cell.init, jax.random.key(0)))


def dropped_weights(rate, w_h, keys):
    """What a linear network makes of the identity in one step without input: its dropped weights, for every key."""
    cell = drop_connect(LINEAR, rate)
    params = params_of(LINEAR).replace(w_h=w_h, b=jnp.zeros(H))

    @jax.jit
    @jax.vmap
    def unroll(key):
        return cell.unroll(params, jnp.eye(H), jnp.zeros((3, H, 1)), key=key)[1]

    return np.asarray(unroll(keys))


def test_the_same_weights_are_absent_at_every_step():
    """h_t = I W^t: the second and third step are the second and third power of the first."""
    w_h = normal(jnp.zeros((H, H)))
    ys = dropped_weights(0.4, w_h, jax.random.split(jax.random.key(1), 20)).astype(np.float64)
    first = ys[:, 0]
    assert 0 < (first == 0).mean() < 1
    np.testing.assert_allclose(first, np.where(first == 0, 0, w_h / 0.6), rtol=1e-6)
    np.testing.assert_allclose(ys[:, 1], first @ first, atol=1e-4)  # entries up to some ten
    np.testing.assert_allclose(ys[:, 2], first @ first @ first, atol=1e-3)  # up to some hundred


def test_keys_draw_masks_of_their_own():
    ys = dropped_weights(0.5, jnp.ones((H, H)), jax.random.split(jax.random.key(2), 9))[:, 0]
    assert len({mask.tobytes() for mask in ys}) == 9


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_expectation_is_preserved(rate):
    """The mean over n keys of a weight has the standard deviation |w| sqrt(rate / (1 - rate) / n)."""
    n, w_h = 4000, 0.5 + jnp.abs(normal(jnp.zeros((H, H))))
    weights = dropped_weights(rate, w_h, jax.random.split(jax.random.key(3), n))[:, 0]
    deviations = (weights.mean(axis=0) - w_h) / (w_h * math.sqrt(rate / (1 - rate) / n))
    assert np.abs(deviations).max() < 5  # of 36 normal numbers: more than that once in 50,000 keys
    share = (weights == 0).mean()
    assert abs(share - rate) < 5 * math.sqrt(rate * (1 - rate) / weights.size)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("compiled", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_equals_an_unroll_with_masked_weights(name, compiled):
    """No gradient reaches a weight that is absent: that gives the mask away, whatever drew it."""
    cell, rate = CELLS[name], 0.3
    params = params_of(cell)
    dropping = drop_connect(cell, rate)
    xs = normal(jnp.zeros((T, 2, E)), 1)
    carry = normal(jax.eval_shape(lambda: cell.initial_carry(params, (2,))), 2)
    reset, mask = np.zeros((T, 2), bool), np.ones((T, 2), bool)
    reset[2, 0], mask[3:, 1] = True, False
    settings = {"mask": jnp.asarray(mask), "reset": jnp.asarray(reset)}
    key = jax.random.key(4)

    def total(params):
        return jnp.sum(jnp.sin(dropping.unroll(params, carry, xs, key=key, **settings)[1]))

    kept = np.asarray(jax.jit(jax.grad(total))(params).w_h) != 0
    assert 0.5 < kept.mean() < 0.9
    masked = params.replace(w_h=jnp.where(kept, params.w_h / (1 - rate), 0))
    expected = jax.jit(cell.unroll)(masked, carry, xs, **settings)
    unroll = jax.jit(dropping.unroll) if compiled else dropping.unroll
    result = unroll(params, carry, xs, key=key, **settings)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), result, expected)


@pytest.mark.parametrize("name", CELLS)
def test_evaluation_and_step_are_untouched(name):
    cell = CELLS[name]
    dropping, params = drop_connect(cell, 0.5), params_of(cell)
    carry, xs = cell.initial_carry(params, (2,)), normal(jnp.zeros((T, 2, E)))
    result = dropping.unroll(params, carry, xs)
    jax.tree.map(np.testing.assert_array_equal, result, cell.unroll(params, carry, xs))
    assert np.abs(result[1] - dropping.unroll(params, carry, xs, key=jax.random.key(0))[1]).max() > 0.01
    assert dropping._replace(unroll=None) == cell._replace(unroll=None)


def test_layers_of_a_stack_have_masks_of_their_own():
    """The same weights in both layers would be absent in both."""
    cell = drop_connect(rnn(H, H, nonlinearity="identity"), 0.5)
    stack = stacked([cell, cell])
    params = jax.tree.map(jnp.ones_like, stack.init(jax.random.key(0)))

    def total(params):
        carry = jax.tree.map(lambda leaf: leaf + 1, stack.initial_carry(params, (2,)))
        return jnp.sum(stack.unroll(params, carry, jnp.ones((2, 2, H)), key=jax.random.key(1))[1])

    gradient = jax.grad(total)(params)
    masks = [np.asarray(layer.w_h) != 0 for layer in gradient.cells]
    assert not np.array_equal(*masks)


def test_without_a_rate_it_is_the_cell_itself():
    assert drop_connect(LINEAR, 0.0) is LINEAR
    assert drop_connect(LINEAR, 0.5) is drop_connect(LINEAR, 0.5)  # so that nothing compiles twice


@pytest.mark.parametrize("rate", [1.0, -0.1, math.nan])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(UserError, match=r"weight_drop must be in \[0, 1\)"):
        drop_connect(LINEAR, rate)


def test_a_cell_without_recurrent_weights_is_refused():
    cell = drop_connect(running_mean(E, H), 0.5)
    params = cell.init(jax.random.key(0))
    carry, xs = cell.initial_carry(params, (2,)), jnp.zeros((T, 2, E))
    cell.unroll(params, carry, xs)
    with pytest.raises(UserError, match="DropConnect needs parameters with a field w_h, got dict"):
        cell.unroll(params, carry, xs, key=jax.random.key(0))


def test_every_layer_of_a_configured_model_drops():
    """Its gradient has zeros in the recurrent weights of both layers, and a model without has none."""
    tokens = np.random.default_rng(0).integers(0, 5, (T, 4))

    def zeros(weight_drop):
        config = model_config(hidden_size=6, embedding_size=3, layers=2, weight_drop=weight_drop)
        model = from_config(config, 5)
        params = normal(jax.eval_shape(model.init, jax.random.key(0)))
        carry = model.initial_carry(params, (4,))

        def total(params):
            return jnp.sum(model.score(params, carry, tokens, tokens, key=jax.random.key(1))[1])

        gradient = jax.jit(jax.grad(total))(params)
        return [float((np.asarray(layer.w_h) == 0).mean()) for layer in gradient.cell.cells]

    assert zeros(0.0) == [0, 0]
    assert all(0.2 < share < 0.6 for share in zeros(0.4))
