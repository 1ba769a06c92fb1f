"""A run folder from anybody: no link leads out of it, on reading and on going on; nothing outside changes."""

import os
import shutil

import pytest

from lm_jax.errors import UserError
from lm_jax.queries.list_runs import list_runs
from lm_jax.runs import resume
from lm_jax.runs.links import check_links
from lm_jax.runs.open import open_run


@pytest.fixture
def run(tmp_path):
    """A folder like that of a run, and beside it one of the user's with files of the same names."""
    for folder in (tmp_path / "run", tmp_path / "mine"):
        for name in ("config.json", "metrics.jsonl", "states/3/params/data", "states.checksums/3.json", "7/notes"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("mine")
    shutil.rmtree(tmp_path / "run/7")
    return tmp_path / "run"


def contents(folder):
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "name", ["config.json", "metrics.jsonl", "states", "states/3", "states/3/params", "new", ".lock"]
)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_link_out_of_the_folder_is_refused_and_followed_by_nothing(run, name, absolute):
    link, mine = run / name, run.parent / "mine"
    shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
    target = mine / name.replace("new", "metrics.jsonl").replace(".lock", "config.json")
    link.symlink_to(target if absolute else os.path.relpath(target, link.parent))
    before = contents(mine)
    for use in (open_run, resume):
        with pytest.raises(UserError, match=r"no link that leads out of it, got .* -> "):
            use(run)
    (summary,) = [one for one in list_runs(run.parent) if one.run == str(run)] or [None]
    assert summary is None or summary.state == "unreadable"
    assert contents(mine) == before


def test_a_link_to_nothing_and_a_circle_are_refused(run):
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(run.parent / "to be made")
    with pytest.raises(UserError, match="leads out of it"):
        check_links(run)
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to("metrics.jsonl")
    with pytest.raises(UserError, match="leads out of it"):
        check_links(run)


def test_a_link_within_and_a_folder_that_is_one_will_do(run):
    (run / "best").symlink_to("states/3")
    check_links(run)
    (run.parent / "latest").symlink_to(run)
    check_links(run.parent / "latest")
