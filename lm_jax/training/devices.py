"""Where a training state lies on several devices: arrays are placed, the rest is the compiler's.

    the streams [N + 1, B] and the carry [B, ...]     cut along B, one piece a device
    everything else                                   the same on every device

With `vocab_shards` M the devices are a mesh of N / M rows, which share the batch as above, and M columns, which share
the vocabulary: embedding [V, E], softmax [H, V] and its bias [V], and all that the optimiser keeps of them, are cut
along V.

The step is the ordinary jitted one: the compiler sees where its operands lie, gives every device its rows of the
batch, and sums gradients over devices. Random numbers depend on their key and place in the whole array alone, so a
run draws the same dropout masks on any number of devices.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lm_jax.data.batching import Streams
from lm_jax.errors import UserError
from lm_jax.training.state import TrainState
from lm_jax.types import Params


DATA, VOCABULARY = "data", "vocabulary"
VOCABULARY_AXIS = {"embedding": 0, "w_out": 1, "w_direct": 1, "b_out": 0}  # by the parameter's name


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a run; mesh is None for one device, where arrays lie as JAX puts them."""

    mesh: Mesh | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 if self.mesh is None else self.mesh.size

    @property
    def vocab_shards(self) -> int:
        """Into how many pieces the vocabulary is cut."""
        return 1 if self.mesh is None else self.mesh.shape[VOCABULARY]

    def check_vocabulary(self, size: int) -> None:
        """Raises UserError for a vocabulary that cannot be cut into equal pieces."""
        if size % self.vocab_shards:
            fitting = size - size % self.vocab_shards
            raise UserError(
                f"--vocab-shards must divide the {size:,} types of the vocabulary, got {self.vocab_shards}; "
                f"a word or bpe vocabulary has a size that it divides with --max-vocab {fitting}"
            )

    def place(self, state: TrainState) -> TrainState:
        """The state with every array where it belongs."""
        return state if self.mesh is None else jax.tree.map(_put, state, self.shardings(state))

    def shardings(self, state: TrainState) -> TrainState:
        """Where each array of a state belongs, as a NamedSharding; for more than one device."""
        placed = jax.tree_util.tree_map_with_path(self._parameter, state)
        return placed.replace(carry=jax.tree.map(lambda _: self._rows(0), state.carry))

    def place_streams(self, streams: Streams) -> Streams:
        """The streams of an epoch, on the devices that work on them."""
        if self.mesh is None:
            return jax.tree.map(jax.numpy.asarray, streams)
        return Streams(*(_put_own(array, self._rows(array.ndim - 1)) for array in streams))

    def hold(self, state: TrainState) -> TrainState:
        """Inside a jitted function: the state, kept where `place` put it, so that every step finds it there."""
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
        """Parameters on one device, whole, for what is not training: validation, samples, telemetry."""
        if self.mesh is None:
            return params
        whole = jax.device_put(params, NamedSharding(self.mesh, PartitionSpec()))
        return jax.tree.map(lambda array: array.addressable_data(0), whole)

    def _parameter(self, path, array):
        """Of an array by the last name of its path: an optimiser's moments are named as their parameters are."""
        axis = VOCABULARY_AXIS.get(getattr(path[-1], "name", None))
        cut = self.vocab_shards > 1 and axis is not None and array.shape[axis] % self.vocab_shards == 0
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, VOCABULARY) if cut else PartitionSpec())

    def _rows(self, axis):
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, DATA))


ONE_DEVICE = Devices()


def find_devices(count: int, vocab_shards: int = 1) -> Devices:
    """The first `count` devices, a multiple of vocab_shards; raises UserError if there are not as many, or if a
    process would have none."""
    found = jax.devices()
    if jax.process_count() > 1 and count != len(found):
        raise UserError(
            f"--devices must be all devices of the {jax.process_count()} processes, {len(found)}, got {count}"
        )
    if count > len(found):
        raise UserError(
            f"--devices must be at most the number of devices that JAX sees, {len(found)} ({found[0].platform}), "
            f"got {count}; to try it on a CPU, set JAX_NUM_CPU_DEVICES={count} in the environment"
        )
    if count == 1:
        return ONE_DEVICE
    shape, axes = (count // vocab_shards, vocab_shards), (DATA, VOCABULARY)
    return Devices(jax.make_mesh(shape, axes, axis_types=(AxisType.Auto,) * 2, devices=found[:count]))


def _put(array, sharding):
    """A new array (`jax.device_put` may share the old one's memory, which donation would take from both)."""
    if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
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
