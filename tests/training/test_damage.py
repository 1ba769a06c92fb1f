"""Damaged checkpoints: whatever is wrong with a file of a step, it is noticed, and the next good step is used."""

import functools
import random
import shutil
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

from lm_jax import UserError
from lm_jax.training import Checkpoints, create_state
from lm_jax.training.checksums import read_record, record_path, records_of, write_record
from lm_jax.training.saved_steps import damage_of, find_steps, load_step
from tests.training.test_checkpoints import ADAM, MODEL, SOURCE, as_numbers, assert_identical, save_all, state_at


LOSSES = {3: 2.0, 4: 2.5, 5: 3.0}  # 3 is the best, 5 the newest


@functools.cache
def template():
    return jax.eval_shape(MODEL.init, jax.random.key(0))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pristine") / "states"
    save_all(folder, LOSSES)
    return folder


@pytest.fixture
def states(pristine, tmp_path):
    """A copy of the checkpoints that may be damaged."""
    for source in (pristine, records_of(pristine)):
        shutil.copytree(source, tmp_path / source.name)
    return tmp_path / "states"


def files_of(states):
    """Every file of steps and records."""
    return sorted(path for folder in (states, records_of(states)) for path in folder.rglob("*") if path.is_file())


def heard(action):
    """What an action returns, and the warnings of damage, which name a step each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = action()
    return result, [str(one.message) for one in caught if "is damaged" in str(one.message)]


def step_of(path, states):
    """The step that a file is of."""
    return int(path.stem) if path.parent == records_of(states) else int(path.relative_to(states).parts[0])


def check_load(states, damaged):
    """The numbers of the best step, or of the next best one with a word about it."""
    loaded, said = heard(lambda: load_step(states, template()))
    assert loaded.step in (3, 4) and loaded.host == {"misses": loaded.step}
    assert_identical(loaded.params, state_at(loaded.step).params)
    assert loaded.step == 3 or (damaged == 3 and said)
    return bool(said)


def check_restore(states, damaged):
    """The state of the newest step that is whole, with a word about what is not, which has another name now."""
    with Checkpoints(states) as saved:
        (state, host), said = heard(lambda: saved.restore_newest(create_state(MODEL.init, SOURCE, ADAM, seed=9)))
    expected = 4 if damaged == 5 else 5
    assert host == {"misses": expected}
    assert_identical(state, state_at(expected))
    assert len(said) == 1 and said[0].startswith(f"checkpoint {damaged} is damaged")
    assert f"the run continues from step {expected}" in said[0]
    assert damaged not in saved.steps and all(damage_of(one) is None for one in find_steps(states))


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def flips(states, number, seed):
    """(path, bit) drawn evenly from all bits of all files."""
    draw, files = random.Random(seed), [path for path in files_of(states) if path.stat().st_size]
    sizes = [path.stat().st_size for path in files]
    chosen = draw.choices(files, sizes, k=number)
    return [(path, draw.randrange(path.stat().st_size * 8)) for path in chosen]


def test_flipped_bits_are_never_other_numbers(states):
    """What is read is tried where a step is hit that would be read first, and now and then elsewhere."""
    noticed = 0
    for number, (path, bit) in enumerate(flips(states, 300, seed=0)):
        step = step_of(path, states)
        flip(path, bit)
        assert [one.step for one in find_steps(states) if damage_of(one)] == [step]
        if (step == 3 and "train" not in path.parts) or number % 20 == 0:
            noticed += check_load(states, step)
        flip(path, bit)
    assert noticed > 30


def test_a_training_sets_aside_what_has_a_flipped_bit(pristine, tmp_path):
    """Few of them; tests/flips has many, of whole runs."""
    for count, (path, bit) in enumerate(flips(pristine, 12, seed=1)):
        folder = tmp_path / str(count)
        for source in (pristine, records_of(pristine)):
            shutil.copytree(source, folder / source.name)
        flip(folder / path.relative_to(pristine.parent), bit)
        check_restore(folder / "states", step_of(path, pristine))
        shutil.rmtree(folder)


DAMAGES = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut by one": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "replaced": lambda path: path.write_bytes(random.Random(0).randbytes(max(1, path.stat().st_size))),
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "another's": lambda path: path.with_name("foreign").write_bytes(b"x"),
    "a link": lambda path: (path.rename(path.parent / "elsewhere"), path.symlink_to(path.parent / "elsewhere")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_every_file_that_is_not_what_it_was_is_noticed(pristine, tmp_path, damage):
    """Each file of the best step in turn, and its record."""
    for number, path in enumerate(path for path in files_of(pristine) if step_of(path, pristine) == 3):
        if path.stat().st_size == 0 and damage is not DAMAGES["deleted"]:
            continue
        folder = tmp_path / str(number)
        for source in (pristine, records_of(pristine)):
            shutil.copytree(source, folder / source.name)
        damage(folder / path.relative_to(pristine.parent))
        of_a_record = path.parent == records_of(pristine)
        harmless = of_a_record and damage in (DAMAGES["another's"], DAMAGES["a link"], DAMAGES["cut by one"])
        damaged = [one.step for one in find_steps(folder / "states") if damage_of(one)]
        assert damaged == ([] if harmless else [3]), path
        if number % 5 == 0:
            check_load(folder / "states", 3)


def test_a_step_that_is_gone_is_missed(states):
    """What steps there should be is recorded outside them: otherwise another step would be read in silence."""
    shutil.rmtree(states / "3")
    with pytest.warns(UserWarning, match=r"checkpoint 3 is damaged \(its folder is missing\); checkpoint 4 is read"):
        assert load_step(states, template()).step == 4
    check_restore(states, 3)


def test_half_a_step_is_missed(states):
    shutil.rmtree(states / "5" / "params")
    check_restore(states, 5)


def test_a_step_of_another_run_is_noticed(states, tmp_path):
    save_all(tmp_path / "other" / "states", {5: 1.0, 6: 3.0})
    shutil.rmtree(states / "5")
    shutil.copytree(tmp_path / "other" / "states" / "5", states / "5")
    check_restore(states, 5)


def test_a_step_may_be_damaged_twice(states):
    for name in ("5.unreadable", "5.unreadable-2"):
        flip(states / "5" / "params" / "_METADATA", 5)
        with Checkpoints(states) as saved:
            with pytest.warns(UserWarning, match=f"set aside as {name};"):
                saved.restore_newest(create_state(MODEL.init, SOURCE, ADAM, seed=9))
            saved.save(state_at(5), {"misses": 5}, 3.0)
        assert (states / name).is_dir()


def test_a_reader_writes_nothing_about_damage(states):
    flip(states / "3" / "params" / "_METADATA", 5)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in states.parent.rglob("*")}
    check_load(states, 3)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in states.parent.rglob("*")} == before


def test_if_all_are_damaged_a_reader_is_told(states):
    for step in LOSSES:
        (states / str(step) / "_CHECKPOINT_METADATA").unlink()
    with pytest.raises(UserError, match=r"must be whole to be read, got .* with 3: _CHECKPOINT_METADATA is missing"):
        load_step(states, template())


def test_checkpoints_without_checksums_are_read_in_silence_and_recorded(states):
    """Those of earlier versions: the reader asks for none, the training records what it could read."""
    shutil.rmtree(records_of(states))
    loaded, said = heard(lambda: load_step(states, template()))
    assert loaded.step == 5 and not said  # their numbers were in files of the steps, which these have not
    assert not records_of(states).exists()
    with Checkpoints(states) as saved:
        assert heard(lambda: saved.restore_newest(create_state(MODEL.init, SOURCE, ADAM, seed=9)))[1] == []
    assert [path.name for path in sorted(records_of(states).iterdir())] == ["3.json", "4.json", "5.json"]
    flip(states / "5" / "params" / "_METADATA", 5)
    check_restore(states, 5)


def test_the_number_of_an_earlier_version_ranks_its_step(states):
    shutil.rmtree(records_of(states))
    for step, loss in LOSSES.items():
        (states / str(step) / "metrics").mkdir()
        (states / str(step) / "metrics" / "metrics").write_text(f'{{"valid_loss": {loss}, "improves": 1}}')
    assert load_step(states, template()).step == 3
    with Checkpoints(states) as saved:
        saved.restore_newest(create_state(MODEL.init, SOURCE, ADAM, seed=9))
        assert saved.best_step == 3
    assert load_step(states, template()).step == 3


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("step", [6, 5])  # a new one, and one that was saved before without its validation
def test_a_save_that_is_killed_anywhere_leaves_nothing_damaged(states, monkeypatch, step):
    """Before each renaming and deleting of a save that also removes a step."""
    if step == 5:
        write_record(states, read_record(record_path(states, 5))._replace(valid_loss=None))
    for number in range(1, 50):
        left = iter(range(number - 1))  # operations until the end

        def fragile(operation, left=left):
            def run(*arguments, **options):
                if next(left, None) is None:
                    raise Killed
                return operation(*arguments, **options)

            return run

        folder = states.parent / str(number) / "states"
        for source in (states, records_of(states)):
            shutil.copytree(source, folder.parent / source.name)
        with Checkpoints(folder) as saved, monkeypatch.context() as patch:
            import os

            for module, name in ((os, "replace"), (Path, "rename"), (Path, "unlink"), (shutil, "rmtree")):
                patch.setattr(module, name, fragile(getattr(module, name)))
            try:
                saved.save(state_at(step, seed=step), {"misses": 6}, 4.0)
                whole = True
            except Killed:
                whole = False
        # in the place of another save of it there is, for a moment, one that the next look or the next start puts right
        assert step == 5 or not any(damage_of(one) for one in find_steps(folder))
        with Checkpoints(folder) as saved:
            assert max(saved.steps) >= 5 and not any(damage_of(one) for one in find_steps(folder))
        assert {path.name for path in folder.iterdir()} in ({"3", "4", "5"}, {"3", "5", "6"}, {"3", "4", "5", "6"})
        if whole:
            break
    assert whole and number > 4
    other = create_state(MODEL.init, SOURCE, ADAM, seed=9)
    with Checkpoints(folder) as saved:
        restored = saved.restore_newest(other)
    assert restored is not None
    assert_identical(restored[0], state_at(step, seed=step))


def test_numbers_are_compared_bit_for_bit():
    """The comparison that these tests rest on tells states apart."""
    a, b = (jax.tree.leaves(as_numbers(state_at(step).params)) for step in (4, 5))
    assert not any(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert record_path(Path("run/states"), 3) == Path("run/states.checksums/3.json")
