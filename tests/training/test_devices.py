"""Where a state lies on several devices, asked of a mesh that is only described; and the real thing on one device."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from lm_jax import UserError
from lm_jax.cells import rnn
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import build_train_steps, create_state, cross_entropy, text_source
from lm_jax.training.averaging import ema
from lm_jax.training.devices import DATA, ONE_DEVICE, VOCABULARY, WHOLE, Devices, find_devices
from tests.training import parity


V = 6
MODEL = recurrent_lm(V, rnn(3, 4), dropout_rate=0.3)
SOURCE = text_source(Batches(np.random.default_rng(0).integers(0, V, 330).astype(np.int32), 0, 4, 6), MODEL)
SHAPES = jax.eval_shape(MODEL.init, jax.random.key(0))
VOCAB_AXES = jax.tree.map(lambda _: WHOLE, SHAPES).replace(embedding=0, w_out=1, b_out=0)
NO_AXES = jax.tree.map(lambda _: WHOLE, SHAPES)


def described(rows, shards):
    """Devices that need not be there."""
    return Devices(AbstractMesh((rows, shards), (DATA, VOCABULARY)))


def specs(tree):
    return jax.tree.map(lambda sharding: sharding.spec, tree)


def test_counts():
    assert (ONE_DEVICE.count, ONE_DEVICE.vocab_shards) == (1, 1)
    assert (described(4, 2).count, described(4, 2).vocab_shards) == (8, 2)


@pytest.mark.parametrize("devices", [ONE_DEVICE, described(4, 1)], ids=["one", "rows only"])
@pytest.mark.parametrize("axes", [None, NO_AXES, VOCAB_AXES], ids=["no vocabulary", "no axes", "axes"])
def test_a_vocabulary_that_is_not_cut_may_be_any(devices, axes):
    assert devices.for_model(SHAPES, axes) is devices


@pytest.mark.parametrize(("shards", "fitting"), [(4, 4), (5, 5)])
def test_shards_must_divide_the_vocabulary(shards, fitting):
    message = f"vocab_shards must divide the 6 entries of the vocabulary, got {shards}; .* max_vocab={fitting}"
    with pytest.raises(UserError, match=message) as caught:
        described(2, shards).for_model(SHAPES, VOCAB_AXES)
    assert caught.value.settings == ("vocab_shards", "max_vocab", "level") and "\n" not in str(caught.value)


@pytest.mark.parametrize("axes", [None, NO_AXES], ids=["no vocabulary", "no axes"])
def test_there_must_be_a_vocabulary_to_cut(axes):
    with pytest.raises(UserError, match="vocab_shards must divide the vocabulary of a model, which has none, got 2"):
        described(2, 2).for_model(SHAPES, axes)


def test_devices_that_are_not_there_are_refused():
    assert find_devices(1) is ONE_DEVICE
    with pytest.raises(
        UserError, match=f"JAX sees, {jax.device_count()} .*, got 64; .*JAX_NUM_CPU_DEVICES=64"
    ) as caught:
        find_devices(64)
    assert caught.value.settings == ("devices",)


OPTIMIZERS = {
    "adam": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "factored": optax.adafactor(1e-2),
}


def arrays_like(tree, params):
    """The subtrees that have an array of the same shape for each of the parameters."""
    structure = jax.tree.structure(params)
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    found = []

    def look(subtree):
        same = jax.tree.structure(subtree) == structure
        if same and [leaf.shape for leaf in jax.tree.leaves(subtree)] == shapes:
            found.append(subtree)
        return same

    jax.tree.flatten(tree, is_leaf=look)
    return found


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_the_optimiser_keeps_lies_where_its_parameters_lie(name):
    """Moments and averages are cut as the parameters are, the carry by rows; everything else is whole."""
    state = jax.eval_shape(lambda: create_state(MODEL.init, SOURCE, OPTIMIZERS[name], 0, averaged=True))
    placed = specs(described(2, 2).for_model(SHAPES, VOCAB_AXES).shardings(state))
    cut = jax.tree.map(lambda _: PartitionSpec(), SHAPES).replace(
        embedding=PartitionSpec(VOCABULARY), w_out=PartitionSpec(None, VOCABULARY), b_out=PartitionSpec(VOCABULARY)
    )
    is_cut = lambda tree: jax.tree.structure(tree) == jax.tree.structure(cut) and tree == cut  # noqa: E731
    assert placed.params == cut and placed.average.params == cut
    moments = [leaf for leaf in jax.tree.leaves(placed.opt_state, is_leaf=is_cut) if is_cut(leaf)]
    assert len(moments) == len(arrays_like(state.opt_state, state.params)) == {"adam": 2}.get(name, 1)
    others = [leaf for leaf in jax.tree.leaves(placed.opt_state, is_leaf=is_cut) if not is_cut(leaf)]
    assert all(leaf == PartitionSpec() for leaf in others)
    assert placed.carry == PartitionSpec(DATA)
    rest = placed.position, placed.key, placed.step, placed.learning_rate_scale, placed.average.count, *placed.totals
    assert set(rest) == {PartitionSpec()}


def test_a_model_of_one_array_is_not_taken_for_its_counters():
    """Its parameters are a tree like any number: only the shape tells them from a count of steps."""
    params = jax.ShapeDtypeStruct((V, V), jnp.float32)
    adam = optax.adam(1e-2)
    state = jax.eval_shape(lambda: create_state(lambda key: jnp.zeros((V, V)), parity.SOURCE, adam, 0, averaged=True))
    placed = specs(described(2, 2).for_model(params, 1).shardings(state))
    cut = PartitionSpec(None, VOCABULARY)
    assert placed.params == placed.average.params == placed.opt_state[0].mu == placed.opt_state[0].nu == cut
    assert placed.opt_state[0].count == placed.average.count == PartitionSpec()


def test_without_vocabulary_axes_all_but_the_carry_is_whole():
    state = jax.eval_shape(lambda: create_state(MODEL.init, SOURCE, OPTIMIZERS["adam"], 0))
    placed = specs(described(2, 1).for_model(SHAPES, None).shardings(state))
    assert placed.carry == PartitionSpec(DATA)
    assert set(jax.tree.leaves(placed.replace(carry=()))) == {PartitionSpec()}


def mesh_of_one():
    """A mesh whose only device is there: what is placed takes the way that it takes on many."""
    mesh = jax.make_mesh((1, 1), (DATA, VOCABULARY), axis_types=(AxisType.Auto,) * 2, devices=jax.devices()[:1])
    return Devices(mesh)


TASKS = {
    "text": (MODEL.init, SOURCE, cross_entropy(MODEL), VOCAB_AXES),
    "parity": (parity.init, parity.SOURCE, parity.loss, None),
}


def trained(task, devices, parts):
    """A state after four steps, whole and on the host."""
    init, source, loss, _ = TASKS[task]
    train_steps = build_train_steps(
        loss,
        source,
        OPTIMIZERS["adam"],
        accumulate=parts,
        update_average=ema(0.9),
        hold=devices.hold,
        hold_rows=devices.hold_rows,
    )
    state = devices.place(create_state(init, source, OPTIMIZERS["adam"], 0, averaged=True))
    state = devices.over(train_steps)(state, devices.place_epoch(source.epoch(0)), 4)
    assert all(len(leaf.sharding.device_set) == 1 for leaf in jax.tree.leaves(devices.local(state.params)))
    return jax.tree.map(np.asarray, state.replace(key=jax.random.key_data(state.key)))


def assert_trained_alike(task, devices, parts):
    """Up to rounding: the program is another than that of one device."""
    state, expected = trained(task, devices, parts), trained(task, ONE_DEVICE, parts)
    assert int(state.step) == 4
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), state, expected)


@pytest.mark.parametrize("parts", [2, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", TASKS)
def test_placed_states_train_to_the_same_numbers(task, parts):
    assert_trained_alike(task, dataclasses.replace(mesh_of_one(), vocab_axes=TASKS[task][3]), parts)


@pytest.mark.slow
def test_four_devices():
    """A process has as many devices as it began with."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/training/four_devices.py"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "4"},
    )
    assert done.returncode == 0 and " skipped" not in done.stdout, done.stdout


def test_an_epoch_is_cut_along_its_last_axis():
    devices = mesh_of_one()
    strings = parity.epoch(0)
    placed = devices.place_epoch(strings)
    assert placed.sharding.spec == PartitionSpec(None, None, DATA)
    np.testing.assert_array_equal(placed, strings)
    streams = devices.place_epoch(SOURCE.epoch(0))
    assert streams.tokens.sharding.spec == PartitionSpec(None, DATA) and streams.lengths.sharding.spec == PartitionSpec(
        DATA
    )
