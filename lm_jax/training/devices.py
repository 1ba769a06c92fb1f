"""Sharding of the training state over several devices: arrays are placed, the compiler does the rest.

    the arrays of an epoch [..., B], the carry [B, ...]     cut along B, one piece a device
    everything else                                         the same on every device

With `vocab_shards` M the devices are a mesh of N / M rows, which share the batch as above, and M columns, which share
the vocabulary: parameters that the model names the vocabulary axis of (such as an embedding [V, E]), and all that the
optimiser keeps of them, are cut along it.

The step is the ordinary jitted one: the compiler sees where its operands lie, gives every device its rows of the
batch, and sums gradients over devices. Random numbers depend on their key and place in the whole array alone, so a
run draws the same dropout masks on any number of devices.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from lm_jax.errors import UserError
from lm_jax.training.state import TrainState
from lm_jax.types import Params


DATA, VOCABULARY = "data", "vocabulary"
WHOLE = -1  # the vocabulary axis of a parameter that has none


@dataclasses.dataclass(frozen=True, eq=False)
class Devices:
    """The devices of a run; mesh is None for one device, where arrays lie as JAX puts them.

    vocab_axes: a pytree like the parameters with the vocabulary axis of each, -1 for none; None before a model is known
    and for models without a vocabulary.
    """

    mesh: Any = None
    vocab_axes: Any = None

    @property
    def count(self) -> int:
        """Number of devices."""
        return 1 if self.mesh is None else self.mesh.size

    @property
    def vocab_shards(self) -> int:
        """Number of shards of the vocabulary."""
        return 1 if self.mesh is None else self.mesh.shape[VOCABULARY]

    def for_model(self, params: Params, vocab_axes: Any) -> "Devices":
        """Returns these devices for the parameters (arrays or shapes) of a model.

        Raises UserError if the vocabulary is to be cut and a parameter's vocabulary axis is not a multiple, or if
        the model has no vocabulary axis at all.
        """
        if self.vocab_shards == 1:
            return self
        sizes = _vocabulary_sizes(params, vocab_axes)
        wrong = [size for size in sizes if size % self.vocab_shards]
        if wrong or not sizes:
            got = f"{wrong[0]:,} entries of the vocabulary" if wrong else "vocabulary of a model, which has none"
            fitting = [size - size % self.vocab_shards for size in wrong[:1]]
            hint = f"; with level=word, max_vocab={fitting[0]} makes it so" if wrong else ""
            names = ("vocab_shards", "max_vocab", "level")
            raise UserError(f"vocab_shards must divide the {got}, got {self.vocab_shards}{hint}", names)
        return dataclasses.replace(self, vocab_axes=vocab_axes)

    def place(self, state: TrainState) -> TrainState:
        """The state with every array where it belongs."""
        return state if self.mesh is None else jax.tree.map(_put, state, self.shardings(state))

    def shardings(self, state: TrainState) -> TrainState:
        """Returns where each array of a state belongs, as a NamedSharding; for more than one device."""
        whole = jax.tree.map(lambda _: NamedSharding(self.mesh, PartitionSpec()), state)
        placed = whole.replace(carry=jax.tree.map(lambda _: self._rows(0), state.carry))
        if self.vocab_axes is None:
            return placed
        params, shapes = jax.tree.map(self._cut, self.vocab_axes), _shapes(state.params)

        def like_params(tree):  # an optimiser's moments and an average; not a count, nor moments of rows or columns
            return _shapes(tree) == shapes

        def cut(tree):
            return params if like_params(tree) else NamedSharding(self.mesh, PartitionSpec())

        parts = {name: getattr(state, name) for name in ("params", "opt_state", "average")}
        return placed.replace(**jax.tree.map(cut, parts, is_leaf=like_params))

    def place_epoch(self, epoch: Any) -> Any:
        """Places the arrays of an epoch, rows on their last axis, on the devices that work on them."""
        if self.mesh is None:
            return jax.tree.map(jax.numpy.asarray, epoch)
        whole = NamedSharding(self.mesh, PartitionSpec())
        return jax.tree.map(lambda a: _put_own(a, self._rows(a.ndim - 1)) if a.ndim else _put(a, whole), epoch)

    def hold(self, state: TrainState) -> TrainState:
        """Inside a jitted function, keeps the state where `place` put it."""
        if self.mesh is None:
            return state
        return jax.lax.with_sharding_constraint(state, self.shardings(state))

    def hold_rows(self, tree, axis: int):
        """Inside a jitted function: arrays whose axis `axis` is one of rows of the batch, cut along it."""
        return tree if self.mesh is None else jax.lax.with_sharding_constraint(tree, self._rows(axis))

    def over(self, function: Callable) -> Callable:
        """A jitted function that is traced knowing that it runs on these devices."""
        if self.mesh is None:
            return function

        @functools.wraps(function)
        def call(*args, **switches):
            with jax.set_mesh(self.mesh):
                return function(*args, **switches)

        return call

    def local(self, params: Params) -> Params:
        """Returns the parameters on one device, for validation, samples and telemetry."""
        if self.mesh is None:
            return params
        whole = jax.device_put(params, NamedSharding(self.mesh, PartitionSpec()))
        return jax.tree.map(lambda array: array.addressable_data(0), whole)

    def _cut(self, axis):
        cut = PartitionSpec() if axis == WHOLE else PartitionSpec(*[None] * axis, VOCABULARY)
        return NamedSharding(self.mesh, cut)

    def _rows(self, axis):
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, DATA))


def _vocabulary_sizes(params, vocab_axes):
    if vocab_axes is None:
        return []
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(vocab_axes), strict=True)
    return [array.shape[axis] for array, axis in pairs if axis != WHOLE]


def _shapes(tree):
    """The structure of a tree and the shape of each of its arrays."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [leaf.shape for leaf in leaves]


ONE_DEVICE = Devices()


def find_devices(count: int, vocab_shards: int = 1) -> Devices:
    """The first `count` devices, a multiple of vocab_shards; raises UserError if there are not as many, or if a
    process would have none."""
    found = jax.devices()
    if jax.process_count() > 1 and count != len(found):
        raise UserError(
            f"devices must be all devices of the {jax.process_count()} processes, {len(found)}, got {count}",
            ("devices",),
        )
    if count > len(found):
        raise UserError(
            f"devices must be at most the number of devices that JAX sees, {len(found)} ({found[0].platform}), "
            f"got {count}; to try it on a CPU, set JAX_NUM_CPU_DEVICES={count} in the environment",
            ("devices",),
        )
    if count == 1:
        return ONE_DEVICE
    shape, axes = (count // vocab_shards, vocab_shards), (DATA, VOCABULARY)
    return Devices(jax.make_mesh(shape, axes, axis_types=(AxisType.Auto,) * 2, devices=found[:count]))


def _put(array, sharding):
    """A new array (`jax.device_put` may share the old one's memory, which donation would take from both)."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = _put(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    host = np.asarray(array)  # the same on every process
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _put_own(array, sharding):
    """An array of which this process reads no more than the columns of its own devices."""
    pieces = sharding.addressable_devices_indices_map(array.shape).values()
    starts, stops, _ = zip(*(piece[-1].indices(array.shape[-1]) for piece in pieces), strict=True)
    own = array[..., min(starts) : max(stops)]
    return jax.make_array_from_process_local_data(sharding, own, array.shape)
