"""Gradients on recurrent edges against a closed form, products of Jacobians, finite differences and torch."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from lm_jax.analysis import gradient_flow
from lm_jax.cells import gru, lstm, rnn, stacked
from lm_jax.cells.stack import StackParams
from lm_jax.models import recurrent_lm
from lm_jax.models.recurrent import RecurrentLMParams
from tests import catalogue
from tests.cells.test_torch_golden import layer_params
from tests.oracles import gradients


GOLDEN = Path(__file__).parents[1] / "golden" / "torch_gradient_flow.npz"
V, T, B = catalogue.VOCAB_SIZE, 6, 2
# The leaves of each layer, in the order of the flattened carry.
LEAVES = {
    "rnn_tanh": [["h"]],
    "rnn_relu": [["h"]],
    "rnn_sigmoid": [["h"]],
    "gru_after": [["h"]],
    "gru_before": [["h"]],
    "lstm": [["h", "c"]],
    "running_mean": [["count", "sum"]],
    "stack_plain": [["h", "c"], ["h"]],
    "stack_residual": [["h", "c"], ["h"], ["h"]],
    "stack_highway": [["h"], ["h", "c"]],
    "stack_dense": [["h", "c"], ["h"], ["h"]],
    "drop_connect": [["h"], ["h", "c"]],
    "stack_of_user_cells": [["count", "sum"], ["h", "c"]],
}


def drawn(tree, seed, scale=0.5):
    """Normal entries in float64, in the shapes of a tree."""
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(scale * generator.normal(size=leaf.shape)), tree)


def tokens_of(steps, batch_size, vocab_size=V, seed=0):
    """(inputs, targets), the targets not the inputs moved by one."""
    return np.random.default_rng(seed).integers(vocab_size, size=(2, steps, batch_size))


class Opened:
    """A language model around a cell of the catalogue, its carries one flat vector a row."""

    def __init__(self, name):
        self.cell = catalogue.CELLS[name].subject
        self.model = recurrent_lm(V, self.cell)
        self.params = drawn(jax.eval_shape(self.model.init, jax.random.key(0)), 1)
        initial = self.model.initial_carry(self.params, (B,))
        self.carry = jax.tree.map(jnp.add, jax.tree.map(lambda a: a.astype(float), initial), drawn(initial, 2, 0.3))
        self.inputs, self.targets = tokens_of(T, B)
        self.unravel = ravel_pytree(jax.tree.map(lambda a: a[0], self.carry))[1]
        self.flatten = jax.vmap(lambda carry: ravel_pytree(carry)[0])
        self.slices = self.slices_of(name)

    def slices_of(self, name):
        """Of each layer, the place in the flat vector of each leaf and of all of them."""
        sizes, start, slices = iter(leaf[0].size for leaf in jax.tree.leaves(self.carry)), 0, []
        for names in LEAVES[name]:
            layer, layer_start = {}, start
            for leaf in names:
                layer[leaf] = slice(start, start := start + next(sizes))
            slices.append({**layer, "all": slice(layer_start, start)})
        assert next(sizes, None) is None
        return slices

    def flow(self):
        """The instrument under test, as norms."""
        return gradient_flow(self.model, self.params, self.inputs, targets=self.targets, carry=self.carry)

    def check(self, vectors, output, rtol):
        """Asserts that the flow has the norms of these vectors [B, T, T, N] at every leaf."""
        flow = self.flow()
        if output is not None:
            np.testing.assert_allclose(np.exp(flow.output), output, rtol=rtol)
        assert [list(layer) for layer in flow.carry] == [list(layer) for layer in self.slices]
        past = np.tri(T, k=-1, dtype=bool)
        for layer, slices in zip(flow.carry, self.slices, strict=True):
            for leaf, place in slices.items():
                expected = np.linalg.norm(vectors[..., place], axis=-1)
                assert np.mean(expected[:, past] > 0) > 0.5  # relu has zeros
                assert np.all(np.isneginf(layer[leaf][:, ~past]))
                np.testing.assert_allclose(np.exp(layer[leaf]), expected, rtol=rtol, err_msg=leaf)


FAST = ("rnn_tanh", "gru_before", "lstm", "stack_residual")  # all kinds of cells, connections and leaves


def slow_but(fast, values):
    """Cases of a test, all marked as slow but these."""
    return [pytest.param(value, marks=[] if value in fast else pytest.mark.slow) for value in values]


@pytest.mark.parametrize("name", slow_but(FAST, LEAVES))
def test_flow_equals_products_of_full_jacobians(name, x64):
    opened = Opened(name)

    @jax.jit
    def single_steps(carry, xs):
        def step(flat, x):
            new, y = opened.cell.step(
                opened.params.cell, jax.tree.map(lambda a: a[None], opened.unravel(flat)), x[None]
            )
            return opened.flatten(new)[0], y[0]

        def along(flat, x):
            new, y = jax.vmap(step)(flat, x)
            return new, (jax.vmap(jax.jacfwd(step))(flat, x), y)

        return jax.lax.scan(along, opened.flatten(carry), xs)[1]

    (carry_jacobians, output_jacobians), ys = map(
        lambda tree: jax.tree.map(np.asarray, tree), single_steps(opened.carry, opened.params.embedding[opened.inputs])
    )
    w_out, b_out = np.asarray(opened.params.w_out), np.asarray(opened.params.b_out)
    g = gradients.softmax_gradients(ys, w_out, b_out, opened.targets)
    vectors = gradients.jacobian_products(carry_jacobians, output_jacobians, g)
    opened.check(vectors, np.linalg.norm(g, axis=-1).T, 1e-8)


@pytest.mark.parametrize(
    "name", slow_but(["stack_of_user_cells"], ["gru_before", "lstm", "stack_dense", "stack_of_user_cells"])
)
def test_flow_equals_finite_differences(name, x64):
    opened = Opened(name)

    @jax.jit
    def step(flat, token, target):
        carry, log_probs = opened.model.score(opened.params, jax.vmap(opened.unravel)(flat), token[None], target[None])
        return opened.flatten(carry), -log_probs[0]

    carries = [opened.flatten(opened.carry)]
    for token, target in zip(opened.inputs, opened.targets, strict=True):
        carries.append(step(carries[-1], token, target)[0])

    def losses_after(j, flat):
        losses = []
        for token, target in zip(opened.inputs[j + 1 :], opened.targets[j + 1 :], strict=True):
            flat, loss = step(flat, token, target)
            losses.append(np.asarray(loss))
        return np.stack(losses)

    vectors = gradients.central_differences(losses_after, T, lambda j: np.asarray(carries[j + 1]))
    opened.check(vectors, None, 1e-6)


def linear_model(seed=0, batch_size=2, steps=20, size=4):
    """(model, params, inputs, targets) of a linear recurrence, and the oracle's (output, G)."""
    model = recurrent_lm(V, rnn(3, size, nonlinearity="identity"))
    params = drawn(jax.eval_shape(model.init, jax.random.key(0)), seed)
    inputs, targets = tokens_of(steps, batch_size)
    cell = params.cell
    arrays = (params.embedding, cell.w_x, cell.w_h, cell.b, params.w_out, params.b_out)
    return (model, params, inputs), targets, gradients.linear_rnn(*map(np.asarray, arrays), inputs, targets)


# 140 steps of one text are rows of three chunks; with two texts a chunk is 32 rows
@pytest.mark.parametrize(("batch_size", "steps"), [pytest.param(2, 20, marks=pytest.mark.slow), (1, 140), (2, 40)])
def test_flow_of_a_linear_network_is_its_closed_form(batch_size, steps, x64):
    arguments, targets, (output, norms) = linear_model(batch_size=batch_size, steps=steps)
    flow = gradient_flow(*arguments, targets=targets)
    np.testing.assert_allclose(np.exp(flow.output), output, rtol=1e-10)
    np.testing.assert_allclose(np.exp(flow.carry[0]["h"]), norms, rtol=1e-10)
    np.testing.assert_array_equal(flow.carry[0]["all"], flow.carry[0]["h"])
    assert flow.max_lag == steps - 1


@pytest.mark.parametrize("max_lag", slow_but([1, 64, 65], [1, 2, 63, 64, 65]))
def test_max_lag_leaves_out_the_longer_ones_only(max_lag, x64):
    arguments, targets, (_, norms) = linear_model(batch_size=1, steps=100)
    flow = gradient_flow(*arguments, targets=targets, max_lag=max_lag)
    measured = np.subtract.outer(np.arange(100), np.arange(100)) <= max_lag
    assert np.all(np.isnan(flow.carry[0]["h"][:, ~measured]))
    np.testing.assert_allclose(np.exp(flow.carry[0]["h"][:, measured]), norms[:, measured], rtol=1e-10)
    assert flow.max_lag == max_lag


@pytest.fixture(scope="module")
def golden():
    """{case: {name: array}}."""
    cases = {}
    with np.load(GOLDEN) as arrays:
        for full, array in arrays.items():
            case, _, name = full.partition("/")
            cases.setdefault(case, {})[name] = array
    return cases


# in float32 up to 1e-5 of the largest norm, as 1 - tanh^2 has lost that much where a unit is saturated
@pytest.mark.parametrize(
    ("layers", "dtype", "rtol"),
    [
        (2, "float64", 1e-10),
        pytest.param(1, "float64", 1e-10, marks=pytest.mark.slow),
        pytest.param(2, "float32", 0, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(("kind", "factory"), [("rnn", rnn), ("gru", gru), ("lstm", lstm)])
def test_flow_equals_that_of_torch(golden, kind, factory, layers, dtype, rtol, x64):
    torch = {n: jnp.asarray(a, dtype if a.dtype == float else None) for n, a in golden[f"{kind}_{layers}"].items()}
    (size, vocab_size), input_size = torch["w_out"].shape, torch["embedding"].shape[1]
    cells = [factory(input_size if k == 0 else size, size) for k in range(layers)]
    cell_params = tuple(layer_params(kind, torch, k) for k in range(layers))
    cell = cells[0] if layers == 1 else stacked(cells)
    cell_params = cell_params[0] if layers == 1 else StackParams(cell_params, (None,) * layers)
    params = RecurrentLMParams(torch["embedding"], cell_params, torch["w_out"], torch["b_out"])
    flow = gradient_flow(recurrent_lm(vocab_size, cell), params, torch["inputs"], targets=torch["targets"])
    np.testing.assert_allclose(np.exp(flow.output), torch["output"], rtol=rtol or 1e-5)
    for k, layer in enumerate(flow.carry):
        for leaf in set(layer) - {"all"}:
            expected = torch[f"g/{k}/{leaf}"]
            atol = 0 if rtol else 1e-5 * expected.max()
            np.testing.assert_allclose(np.exp(layer[leaf]), expected, rtol=rtol, atol=atol, err_msg=f"{k} {leaf}")
