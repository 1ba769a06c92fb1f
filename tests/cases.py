"""What the laws run on: a catalogue entry with parameters and inputs, trees compared, and the loop over `step`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.cells import Cell
from tests.catalogue import Entry


T, B = 6, 4
# rows: full length; length 0; a hole and an end; length 1
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0]], bool).T
# resets at the first, at middle and at masked steps
RESET = np.array([[0, 0, 1, 0, 0, 0], [1, 0, 1, 0, 0, 0], [1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 0, 0]], bool).T
ALL, NONE = np.ones((T, B), bool), np.zeros((T, B), bool)
SWITCHES = {"plain": {}, "mask": {"mask": MASK}, "reset": {"reset": RESET}, "both": {"mask": MASK, "reset": RESET}}


class Case(NamedTuple):
    """An entry of the catalogue with parameters, a carry that is not the initial one, and inputs [T, B, ...]."""

    subject: Any
    params: Any
    carry: Any
    xs: np.ndarray
    entry: Entry

    def initial(self, batch_shape=(B,)):
        """The initial carry."""
        return self.subject.initial_carry(self.params, batch_shape)

    def close(self, actual, expected):
        """Asserts that two trees are equal up to the entry's tolerance."""
        assert_close(actual, expected, self.entry.tolerance)


def make_case(entry: Entry) -> Case:
    """The entry with everything that a law needs."""
    params = entry.make_params(jax.random.key(0))
    initial = read = entry.subject.initial_carry(params, (B,))
    if not all(map(is_floating, jax.tree.leaves(initial))):
        # tokens in a carry cannot be any numbers: they are those of three steps
        read, _ = jax.jit(entry.subject.unroll)(params, initial, draw_inputs(entry.subject, (3, B), seed=8))
    noise = draw_like(initial, seed=1)
    carry = jax.tree.map(lambda a, n, r: jnp.asarray(np.asarray(a) + n) if is_floating(a) else r, initial, noise, read)
    return Case(entry.subject, params, carry, draw_inputs(entry.subject, (T, B)), entry)


def is_floating(leaf) -> bool:
    """Whether a leaf has a derivative: the tokens in a carry have none."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def draw_inputs(subject, shape, seed=2):
    """Tokens for a language model, vectors for a cell; `shape` is that of the leading axes."""
    generator = np.random.default_rng(seed)
    if isinstance(subject, Cell):
        return generator.normal(size=(*shape, subject.input_size)).astype(np.float32)
    return generator.integers(subject.vocab_size, size=shape, dtype=np.int32)


def draw_like(tree, seed):
    """A tree of normal entries, half of a unit in size, in the shapes and types of another."""
    generator = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: np.asarray(0.5 * generator.normal(size=leaf.shape), leaf.dtype), tree)


def assert_close(actual, expected, tolerance):
    """Trees of one structure whose leaves differ by at most `tolerance` times the largest entry (at least 1)."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


def assert_identical(actual, expected):
    """Trees that are equal bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def where(condition, on_true, on_false):
    """Row by row one of two carries."""
    return jax.tree.map(
        lambda a, b: jnp.where(jnp.expand_dims(condition, tuple(range(np.ndim(condition), a.ndim))), a, b),
        on_true,
        on_false,
    )


def step_by_step(subject, params, carry, xs, mask=None, reset=None, step=None):
    """What `unroll` has to equal: a loop in Python over `step`, with the law of masks and resets written out."""
    step, ys = step or subject.step, []
    for t, x in enumerate(xs):
        start = carry if reset is None else where(reset[t], subject.initial_carry(params, reset[t].shape), carry)
        new, y = step(params, start, x)
        carry = new if mask is None else where(mask[t], new, carry)
        ys.append(y)
    return carry, jnp.stack(ys)


def weighted_sum(tree, mask=None):
    """A scalar that every entry of (carry, outputs) enters with a weight of its own; masked outputs do not count."""
    carry, ys = tree
    weights = draw_like(tree, seed=3)
    ys_weights = weights[1] if mask is None else weights[1] * mask.reshape(mask.shape + (1,) * (ys.ndim - mask.ndim))
    sums = jax.tree.map(lambda a, w: jnp.sum(a * w), (carry, ys), (weights[0], ys_weights))
    return sum(jax.tree.leaves(sums))


def row(tree, b, axis=0):
    """One row of the batch, without its axis."""
    return jax.tree.map(lambda leaf: np.asarray(leaf).take(b, axis=axis), tree)


def hide(mask, ys):
    """Outputs with zeros where they are unspecified."""
    return np.where(mask[..., None], ys, 0.0)


def joined(first, second):
    """Two arrays as one in time."""
    return np.concatenate([first, second])
