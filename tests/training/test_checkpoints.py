"""Checkpoints: bit for bit, the newest two and the best, and what is done about a damaged one."""

import functools
import gc
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax import UserError
from lm_jax.cells import lstm, stacked
from lm_jax.models import recurrent_lm
from lm_jax.training import Checkpoints, chunk_source, create_state


MODEL = recurrent_lm(5, stacked([lstm(3, 4), lstm(4, 4)]))
SOURCE = chunk_source(MODEL, batch_size=2, bptt=3, steps_per_epoch=4)
ADAM = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.linear_schedule(0.0, 1e-2, 5)))


@functools.cache
def fresh_state(seed):
    """A state that nobody donates."""
    return create_state(MODEL.init, SOURCE, ADAM, seed)


def state_at(step, seed=0):
    """A state with nothing in it that a fresh one has."""
    state = fresh_state(seed)

    def stir(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.fold_in(leaf, step)
        return (leaf + jnp.asarray(1 + step, leaf.dtype) / 7).astype(leaf.dtype)

    return jax.tree.map(stir, state).replace(step=jnp.asarray(step))


def as_numbers(tree):
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def assert_identical(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, as_numbers(a), as_numbers(b))
    jax.tree.map(lambda x, y: x.dtype == y.dtype or pytest.fail(f"{x.dtype} is not {y.dtype}"), a, b)


def save_all(folder, losses):
    """Saves a state for every step and validation loss."""
    with Checkpoints(folder) as states:
        for step, loss in losses.items():
            states.save(state_at(step), {"misses": step}, loss)


def test_a_state_comes_back_bit_for_bit(tmp_path):
    save_all(tmp_path, {7: 2.5})
    with Checkpoints(tmp_path) as states:
        state, host = states.restore_newest(create_state(MODEL.init, SOURCE, ADAM, seed=9))
    assert host == {"misses": 7}
    assert_identical(state, state_at(7))
    # and it is one to go on from: nothing in it is shared or committed elsewhere
    jax.jit(lambda s: s.replace(step=s.step + 1), donate_argnums=0)(state)


@pytest.mark.parametrize(
    ("losses", "kept", "best"),
    [
        ({1: 3.0, 2: 2.0, 3: 2.5, 4: 2.6, 5: 2.7}, [2, 4, 5], 2),
        pytest.param({1: 3.0, 2: 2.0, 3: 1.0}, [2, 3], 3, marks=pytest.mark.slow),
        ({1: 2.0, 2: 1.0, 3: 1.0, 4: 1.0, 5: 1.0}, [2, 4, 5], 2),  # of equal ones the first
        pytest.param({1: 3.0, 2: None, 3: None, 4: None}, [1, 3, 4], 1, marks=pytest.mark.slow),
        ({1: None, 2: None, 3: None}, [2, 3], 3),
        pytest.param({1: 3.0, 2: math.nan, 3: math.nan, 4: math.nan}, [1, 3, 4], 1, marks=pytest.mark.slow),
        ({1: math.nan, 2: math.inf, 3: 9.0, 4: None, 5: None}, [3, 4, 5], 3),
        pytest.param({1: 2.0, 2: 2.0}, [1, 2], None, marks=pytest.mark.slow),
        ({}, [], None),
    ],
    ids=str,
)
def test_the_newest_two_and_the_best_are_kept(tmp_path, losses, kept, best):
    save_all(tmp_path, losses)
    with Checkpoints(tmp_path) as states:
        assert states.steps == kept
        assert states.best_step == best or (best is None and states.best_step in (*kept, None))


def test_a_step_is_saved_once(tmp_path):
    with Checkpoints(tmp_path) as states:
        states.save(state_at(3), {"misses": 0}, 2.0)
        states.save(state_at(3, seed=1), {"misses": 1}, None)
        assert states.restore_newest(state_at(0))[1] == {"misses": 0}


def test_a_step_that_was_saved_without_its_validation_is_saved_anew_with_it(tmp_path):
    save_all(tmp_path, {2: 3.0})
    with Checkpoints(tmp_path) as states:
        states.save(state_at(3), {"misses": 0}, None)
        states.save(state_at(3, seed=1), {"misses": 1}, None)
        assert states.restore_newest(state_at(0))[1] == {"misses": 0} and states.best_step == 2
        states.save(state_at(3, seed=1), {"misses": 1}, 1.0)
        state, host = states.restore_newest(state_at(0))
        assert host == {"misses": 1} and states.steps == [2, 3] and states.best_step == 3
        assert_identical(state, state_at(3, seed=1))


def test_an_empty_folder_restores_nothing(tmp_path):
    with Checkpoints(tmp_path / "new") as states:
        assert states.restore_newest(state_at(0)) is None
        with pytest.raises(UserError, match="once it has a checkpoint"):
            states.load_params({})


# orbax leaves coroutines behind where a load fails: Python tells so when they are collected.
leaves_coroutines = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True, scope="module")
def set_aside():
    """What other modules made is no matter of the collections here."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def collect():
    """What a test leaves behind is collected in it, not in a later one."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        gc.collect()


def damage(folder):
    """Cuts every file of array data in half."""
    files = [f for f in folder.rglob("*") if f.is_file() and "d" in f.parent.name and f.stat().st_size > 20]
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@leaves_coroutines
def test_a_damaged_newest_checkpoint_is_set_aside(tmp_path):
    save_all(tmp_path, {4: 2.0, 5: 3.0})
    damage(tmp_path / "5")
    with Checkpoints(tmp_path) as states:
        with pytest.warns(UserWarning, match=r"checkpoint 5 is damaged .* set aside as 5.unreadable"):
            state, host = states.restore_newest(create_state(MODEL.init, SOURCE, ADAM, seed=9))
        assert states.steps == [4] and host == {"misses": 4}
        assert_identical(state, state_at(4))
        states.save(state_at(5), {"misses": 50}, 1.0)  # its place is free again
        assert states.steps == [4, 5]
    assert (tmp_path / "5.unreadable").is_dir()


@leaves_coroutines
def test_if_all_are_damaged_nothing_is_moved_and_the_user_is_told(tmp_path):
    """Beginning again at step 0 in the same folder would lose them for good."""
    save_all(tmp_path, {4: 2.0, 5: 3.0})
    damage(tmp_path / "4")
    damage(tmp_path / "5")
    with Checkpoints(tmp_path) as states, pytest.raises(UserError, match="can be read, got 5, 4"):
        states.restore_newest(state_at(0))
    assert (tmp_path / "4").is_dir() and (tmp_path / "5").is_dir()


def test_params_load_without_the_rest(tmp_path):
    """The template is of the parameters only, and abstract; default is the best step."""
    save_all(tmp_path, {4: 2.0, 5: 3.0})
    template = jax.eval_shape(MODEL.init, jax.random.key(0))
    with Checkpoints(tmp_path) as states:
        assert_identical(states.load_params(template), state_at(4).params)
        assert_identical(states.load_params(template, 5), state_at(5).params)


def test_counters_that_a_version_before_did_not_have_begin_anew(tmp_path):
    """Incidents without the loss of the first step."""
    from typing import NamedTuple

    state = create_state(MODEL.init, SOURCE, ADAM, 0, guarded=True)
    counters = {n: c for n, c in state.incidents._asdict().items() if n not in ("first", "due")}
    older = NamedTuple("Incidents", [(name, object) for name in counters])(**counters | {"skipped": jnp.asarray(3)})
    with Checkpoints(tmp_path) as states:
        states.save(state.replace(incidents=older, step=jnp.asarray(7)), {}, None)
        restored, _ = states.restore_newest(create_state(MODEL.init, SOURCE, ADAM, 1, guarded=True))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert (int(restored.incidents.skipped), float(restored.incidents.first), int(restored.step)) == (3, 0.0, 7)


def test_steps_that_are_to_be_kept_stay(tmp_path):
    with Checkpoints(tmp_path) as states:
        for step, keep in ((1, ()), (2, (1,)), (3, (1, 2)), (4, (1, 9)), (5, (1,)), (6, ())):
            states.save(state_at(step), {}, float(step) if step == 2 else None, keep=keep)
            if step == 5:
                assert states.steps == [1, 2, 4, 5]
        assert states.steps == [2, 5, 6]


def test_another_generator_of_random_numbers_is_refused_by_name(tmp_path):
    """Nothing is wrong with the checkpoint: it is not called damaged, and stays as it is."""
    save_all(tmp_path, {7: 2.5})
    other = state_at(0).replace(key=jax.random.key(0, impl="rbg"))
    with (
        Checkpoints(tmp_path) as states,
        pytest.raises(UserError, match="keys of 2 words, got 4 of rbg: set JAX_DEFAULT"),
    ):
        states.restore_newest(other)
    assert [path.name for path in tmp_path.iterdir()] == ["7"]
