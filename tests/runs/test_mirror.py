"""The mirror of a run: whole after every operation, resumable when the machine is gone; what is refused."""

import json
import os
import shutil
from pathlib import Path

import pytest

import lm_jax
from lm_jax import UserError
from lm_jax.data import load_corpus
from lm_jax.files import PART
from lm_jax.runs import mirror
from lm_jax.runs.copies import WAITING, copy_changes, copy_record
from lm_jax.runs.folder import RunFolder, read_lines, read_results
from lm_jax.runs.open import open_run
from lm_jax.training.checksums import record_step, records_of, write_record
from lm_jax.training.saved_steps import COPYING, REMOVING, damage_of, find_steps
from lm_jax.training.step_names import remove_step
from tests.runs.toy import Events, assert_equal_runs, toy_config, write_corpus


def write_step(run, step):
    """A checkpoint of two files, and the log line that was written before it."""
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step}) + "\n")
    (run / "states" / str(step) / "params").mkdir(parents=True)
    (run / "states" / str(step) / "params" / "array").write_bytes(bytes([step]) * 1000)
    (run / "states" / str(step) / "metadata").write_text(f"step {step}")
    write_record(run / "states", record_step(run / "states" / str(step), step, None))


def assert_whole(copy, newest_at_least=0):
    """What makes a copy resumable: every step is whole and in the log."""
    steps = [path for path in (copy / "states").iterdir() if path.name.isdigit()]
    for path in steps:
        assert (path / "params" / "array").read_bytes() == bytes([int(path.name)]) * 1000
        assert (path / "metadata").read_text() == f"step {path.name}"
    assert [damage_of(saved) for saved in find_steps(copy / "states")] == [None] * len(steps)
    assert all(saved.record for saved in find_steps(copy / "states"))
    newest = max((int(path.name) for path in steps), default=0)
    assert newest >= newest_at_least
    logged = [record["step"] for record in read_lines(copy / "metrics.jsonl")]
    assert {int(path.name) for path in steps} <= set(logged)
    assert not steps or {"config.json", "vocabulary.json"} <= set(os.listdir(copy))


@pytest.fixture
def run(tmp_path):
    """A run folder with files of its own making."""
    folder = tmp_path / "here" / "run"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "vocabulary.json").write_text("[]")
    return folder


@pytest.fixture
def begun(tmp_path):
    """A run folder that was made and not trained."""
    config = toy_config(write_corpus(tmp_path / "text"))
    corpus = load_corpus(config.data.data)
    folder = RunFolder(tmp_path / "begun" / "run")
    folder.create(config, corpus.vocabulary, {"decay_horizon": 20, "corpus": corpus.record})
    (folder.path / "metrics.jsonl").write_text("")
    return folder


class Killed(BaseException):
    """The end of the process, at no place in particular."""


@pytest.fixture
def killed_at(monkeypatch):
    """`killed_at(n)`: the n-th operation on the file system from now on does not happen, nor does anything after."""

    def arrange(number):
        count = 0

        def fragile(operation):
            def run(*arguments, **options):
                nonlocal count
                count += 1
                if count == number:
                    raise Killed
                return operation(*arguments, **options)

            return run

        for module, name in ((shutil, "copyfile"), (os, "replace"), (os, "unlink"), (os, "rmdir"), (os, "mkdir")):
            patch.setattr(module, name, fragile(getattr(module, name)))
        patch.setattr(Path, "rename", fragile(Path.rename))

    with monkeypatch.context() as patch:
        yield arrange, patch.undo


def test_a_mirror_is_whole_after_every_operation(run, tmp_path, killed_at):
    """Of two rounds, the second of which copies two steps and removes one, killed before each operation in turn."""
    arrange, undo = killed_at
    copy, waiting = tmp_path / "there" / "run", tmp_path / "waiting"
    write_step(run, 10)
    shutil.copytree(run / "states" / "10", waiting / "10")
    copy_record(run / "states", waiting, 10)
    shutil.copytree(records_of(waiting), records_of(tmp_path / "first" / "waiting"))
    shutil.copytree(run, tmp_path / "first" / "run")
    shutil.copytree(waiting, tmp_path / "first" / "waiting")
    write_step(run, 20)
    write_step(run, 30)
    remove_step(run / "states", 10)
    for number in range(1, 200):
        for folder in (copy, waiting, records_of(waiting)):
            shutil.rmtree(folder, ignore_errors=True)
        copy.mkdir(parents=True)
        shutil.copytree(tmp_path / "first" / "waiting", waiting)
        shutil.copytree(records_of(tmp_path / "first" / "waiting"), records_of(waiting))
        copy_changes(tmp_path / "first" / "run", waiting, copy, {})
        for step in (20, 30):
            shutil.copytree(run / "states" / str(step), waiting / str(step))
            copy_record(run / "states", waiting, step)
        arrange(number)
        try:
            copy_changes(run, waiting, copy, {})
            done = True
        except Killed:
            done = False
        undo()
        assert_whole(copy, newest_at_least=10)
        if done:
            break
        copy_changes(run, waiting, copy, {})  # what was half done is in nobody's way
        assert sorted(os.listdir(copy / "states")) == ["20", "30"]
        assert not [name for name in os.listdir(copy) if name.endswith((COPYING, REMOVING, PART))]
    assert done and number > 20 and not os.listdir(waiting)
    assert sorted(os.listdir(copy / "states")) == ["20", "30"]


def test_a_first_copy_that_is_killed_anywhere_is_in_nobodys_way(begun, tmp_path, killed_at):
    """Before each operation in turn: the run can be resumed with its mirror, and the mirror is a run or none."""
    (arrange, undo), folder = killed_at, begun
    for number in range(1, 100):
        copy = tmp_path / str(number) / "run"
        copy.mkdir(parents=True)
        arrange(number)
        try:
            copy_changes(folder.path, folder.path / WAITING, copy, {})
            done = True
        except Killed:
            done = False
        undo()
        mirror.check_same_run(folder, copy, ())
        if (copy / "config.json").exists():
            open_run(copy)
        if done:
            break
    assert done and number > 4
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"without config\.json"):
        mirror.check_same_run(folder, tmp_path / "other", ())


def test_a_step_that_the_run_deletes_meanwhile_is_copied_all_the_same(run, tmp_path, monkeypatch):
    write_step(run, 10)
    copyfile = shutil.copyfile

    def slow(source, target, **options):
        if (run / "states" / "10").exists():
            remove_step(run / "states", 10)
        return copyfile(source, target, **options)

    (tmp_path / "drive").mkdir()
    monkeypatch.setattr(shutil, "copyfile", slow)
    with mirror.mirrored(run, tmp_path / "drive"):
        pass
    assert_whole(tmp_path / "drive" / "run", newest_at_least=10)
    assert not (run / WAITING).exists()


def test_a_mirror_that_lags_behind_takes_the_newest_and_keeps_what_it_has(run, tmp_path):
    copy, waiting = tmp_path / "copy", tmp_path / "waiting"
    copy.mkdir()
    write_step(copy, 10)
    for step in (20, 30, 40):
        write_step(run, step)
        shutil.copytree(run / "states" / str(step), waiting / str(step))
    remove_step(run / "states", 20)
    shutil.rmtree(waiting / "40")  # saved after this round began
    copy_changes(run, waiting, copy, {})
    assert_whole(copy)
    assert sorted(os.listdir(copy / "states")) == ["30"] and not os.listdir(waiting)
    write_step(run, 50)
    remove_step(run / "states", 30)
    copy_changes(run, waiting, copy, {})  # and this one had none to copy: the old one stays
    assert sorted(os.listdir(copy / "states")) == ["30"]


def test_where_there_are_no_hard_links_steps_are_copied_twice(run, tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_step(run, 10)
    with mirror.mirrored(run, tmp_path / "drive") as on_checkpoint:
        write_step(run, 20)
        on_checkpoint()
    assert_whole(tmp_path / "drive" / "run", newest_at_least=20)


# --- with real runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A corpus."""
    return write_corpus(tmp_path_factory.mktemp("mirror") / "text")


@pytest.fixture(scope="module")
def straight(text, tmp_path_factory):
    """A run of 20 steps with a checkpoint every 3, without stop or mirror."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    return lm_jax.train(toy_config(text, checkpoint_every=3), folder)


def names(folder):
    """Every file below a folder, but for what orbax calls its files of arrays."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "/d/" not in str(path)}


@pytest.mark.slow
def test_when_the_machine_is_gone_the_run_goes_on_from_its_mirror(text, straight, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drive = tmp_path / "drive"
    config = toy_config(text, checkpoint_every=3)
    stopped = lm_jax.train(config, "checkpoints/run", Events(9), mirror=drive)
    assert stopped.results.stopped and stopped.results.mirror == str(drive)
    assert names(drive / "run") == names(tmp_path / "checkpoints" / "run")
    shutil.rmtree("checkpoints")
    resumed = lm_jax.resume(drive / "run", mirror=drive)
    assert resumed.folder == Path("checkpoints/run") and resumed.results.step == 20
    for folder in (resumed.folder, drive / "run"):
        assert_equal_runs(folder, straight.folder, step=20)
        assert sorted(os.listdir(folder / "states")) == sorted(os.listdir(straight.folder / "states"))
    assert read_results(drive / "run") == json.loads(json.dumps(resumed.results.to_json()))
    with pytest.raises(UserError, match="to continue that run: resume checkpoints/run"):
        lm_jax.resume(drive / "run", mirror=drive)  # the machine is not gone


@pytest.mark.slow
def test_a_mirror_is_a_run_like_any_other(text, straight, tmp_path):
    """It goes on in place, or in a new folder; what a kill left in it is gone."""
    drive = tmp_path / "drive"
    lm_jax.train(toy_config(text, checkpoint_every=3), tmp_path / "run", Events(9), mirror=drive)
    (drive / "run" / "states" / "9.copying").mkdir()
    (drive / "run" / "metrics.jsonl.copying").write_text("")
    assert lm_jax.load(drive / "run").vocabulary.level == "char"
    copied = lm_jax.resume(drive / "run", into=tmp_path / "copied")
    assert_equal_runs(copied.folder, straight.folder, step=20)
    in_place = lm_jax.resume(drive / "run")
    assert in_place.folder == drive / "run"
    for folder in (copied.folder, in_place.folder):
        assert_equal_runs(folder, straight.folder, step=20)
        assert not [name for name in names(folder) | set(os.listdir(folder / "states")) if "copying" in name]


@pytest.mark.slow
def test_a_copy_that_fails_is_a_warning_and_is_made_later(text, straight, tmp_path, monkeypatch):
    drive, copyfile, full = tmp_path / "drive", shutil.copyfile, [True]

    def fill_up(source, target, **options):
        if full[0] and str(target).startswith(str(drive)) and "states" in str(target):
            raise OSError(28, "No space left on device")
        return copyfile(source, target, **options)

    monkeypatch.setattr(shutil, "copyfile", fill_up)
    config = toy_config(text, checkpoint_every=3)
    with pytest.warns(UserWarning, match=r"could not be brought up to date.*No space left"):
        run = lm_jax.train(config, tmp_path / "run", mirror=drive)
    assert run.results.step == 20 and not [n for n in os.listdir(drive / "run" / "states") if n.isdigit()]
    full[0] = False
    lm_jax.resume(tmp_path / "run", mirror=drive)
    assert_equal_runs(drive / "run", straight.folder, step=20)


# --- what is refused -----------------------------------------------------------------------------------------------


def test_a_place_that_cannot_be_a_mirror_is_refused_before_the_run_begins(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = toy_config(text)
    (tmp_path / "file").write_text("")
    (tmp_path / "drive" / "run").mkdir(parents=True)
    (tmp_path / "drive" / "run" / "config.json").write_text("{}")
    refused = {
        "": "mirror must be a folder, got ''",
        "nowhere/drive": "is the drive mounted",
        "file": "can be written to, got file: File exists",
        "file/drive": "is the drive mounted",
        ".": "another folder than the one that the run lies in",
        "run": "another folder than the one that the run lies in",
        "drive": "to continue that run: resume .*drive/run with mirror drive",
    }
    for place, message in refused.items():
        with pytest.raises(UserError, match=message):
            lm_jax.train(config, "run", mirror=place)
    with pytest.raises(UserError, match="another folder than the one"):
        lm_jax.train(config, mirror="checkpoints")
    assert not (tmp_path / "run").exists() and not (tmp_path / "checkpoints").exists()


def test_a_drive_that_is_read_only_is_refused(text, tmp_path, monkeypatch):
    (tmp_path / "drive").mkdir()
    opened = os.open

    def read_only(path, flags, *rest, **options):
        if str(path).startswith(str(tmp_path / "drive")) and flags & os.O_RDWR:
            raise OSError(30, "Read-only file system")
        return opened(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(UserError, match=r"can be written to, got .*drive: Read-only file system"):
        lm_jax.train(toy_config(text), tmp_path / "run", mirror=tmp_path / "drive")
    assert not (tmp_path / "run").exists()


def test_a_new_run_without_a_name_takes_one_that_the_mirror_does_not_have(text, tmp_path, monkeypatch):
    """On a new machine the first free name is that of the run on the drive."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drive" / "lstm-char-1").mkdir(parents=True)
    run = lm_jax.train(toy_config(text, steps=1), mirror="drive")
    assert run.folder == Path("checkpoints/lstm-char-2")
    assert os.listdir(tmp_path / "drive" / "lstm-char-1") == []


def test_another_run_and_one_that_is_ahead_are_not_overwritten(straight, text, tmp_path):
    drive = tmp_path / "drive"
    shutil.copytree(straight.folder, drive / "run")
    before = names(drive)
    other = lm_jax.train(toy_config(text, seed=1, steps=1), tmp_path / "other" / "run")
    with pytest.raises(UserError, match="got another run in"):
        lm_jax.resume(other.folder, mirror=drive)
    shutil.copytree(straight.folder, tmp_path / "behind" / "run")
    remove_step(tmp_path / "behind" / "run" / "states", 20)
    with pytest.raises(UserError, match="must not be ahead of its run, got step 20 in"):
        lm_jax.resume(tmp_path / "behind" / "run", mirror=drive)
    assert names(drive) == before
