"""Steps on 4 simulated devices; test_devices.py starts pytest on this file in a process that has them."""

import jax
import pytest

from lm_jax.training import create_state
from lm_jax.training.devices import find_devices
from tests.training.test_devices import MODEL, OPTIMIZERS, SHAPES, SOURCE, TASKS, VOCAB_AXES, V, assert_trained_alike


@pytest.mark.parametrize(
    ("task", "parts", "shards"),
    [("text", 1, 1), ("text", 1, 2), ("text", 2, 2), ("parity", 1, 1), ("parity", 2, 1)],
)
def test_four_devices_train_to_the_numbers_of_one(task, parts, shards):
    devices = find_devices(4, shards)
    init, axes = TASKS[task][0], TASKS[task][3]
    devices = devices.for_model(jax.eval_shape(init, jax.random.key(0)), axes)
    assert devices.count == 4
    assert_trained_alike(task, devices, parts)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_device_holds_its_part_of_parameters_and_moments(name):
    devices = find_devices(4, 2).for_model(SHAPES, VOCAB_AXES)
    state = devices.place(create_state(MODEL.init, SOURCE, OPTIMIZERS[name], 0, averaged=True))
    held = {shard.data.shape for shard in state.params.w_out.addressable_shards}
    assert held == {(4, V // 2)} == {shard.data.shape for shard in state.average.params.w_out.addressable_shards}
    for leaf in jax.tree.leaves(state.opt_state):
        assert leaf.shape != (4, V) or {shard.data.shape for shard in leaf.addressable_shards} == held
    assert {shard.data.shape for shard in state.carry.addressable_shards} == {(2, 4)}
