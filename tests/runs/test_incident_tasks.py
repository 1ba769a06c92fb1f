"""Reports of classifiers, taggers and translators: what they name, and what their script computes again."""

import json
import re
import runpy

import jax
import jax.numpy as jnp
import pytest

from lm_jax.runs.folder import read_lines
from lm_jax.runs.train import train
from tests.runs.test_incidents import planted
from tests.tasks.labelled import classify_config
from tests.tasks.parallel import translate_config
from tests.tasks.tagged import tag_config


def nan_where(wanted):
    """NaN in the first entry of the parameters that a path names."""

    def change(params):
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
        changed = [
            leaf.at[(0,) * leaf.ndim].set(jnp.nan) if name == wanted else leaf
            for name, (_, leaf) in zip(names, leaves, strict=True)
        ]
        assert wanted in names, names
        return jax.tree.unflatten(structure, changed)

    return change


CONFIGS = {
    "classify": classify_config,
    "tag": lambda path: tag_config(path, char_features="none"),
    "translate": translate_config,
}
STEP = r"row \d+, time step \d+"
PLANTS = [
    ("classify", "out.b", r"nan in params\.out\.b\[0\], first seen in log P\(answer\) at row 0"),
    ("classify", "encoder.forward.w_x", rf"nan in params\.encoder.*, first seen in carry h.* at {STEP}, layer 1"),
    ("tag", "w_out", rf"nan in params\.w_out\[0, 0\], first seen in log P\(answer\) at {STEP}"),
    ("tag", "encoder.backward.w_x", rf"carry h from right to left at {STEP}, layer 1"),
    ("translate", "encoder.w_x", rf"nan in params\.encoder\.w_x\[0, 0\], first seen in carry at {STEP}, layer 1"),
    (
        "translate",
        "decoder.embedding",
        rf"nan in params\.decoder\.embedding.*in log P\(answer\) at {STEP}",
    ),
]


@pytest.mark.parametrize(
    ("task", "name", "found"),
    [pytest.param(*p, marks=[pytest.mark.slow] * (n > 0), id=f"{p[0]}-{p[1]}") for n, p in enumerate(PLANTS)],
)
def test_a_planted_parameter_is_named(task, name, found, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lm_jax.runs.setup.build_train_steps", planted(3, params=nan_where(name)))
    run = train(CONFIGS[task](tmp_path / "text.tsv"), tmp_path / "run")
    assert (run.results.step, run.results.incidents) == (20, 1)
    assert [line["step"] for line in read_lines(run.folder / "metrics.jsonl") if "incident" in line] == [3]
    report = run.folder / "incident-4"
    record = json.loads((report / "incident.json").read_text())
    assert re.search(found, record["found"]), record["found"]
    runpy.run_path(str(report / "show.py"))
    recorded, again = capsys.readouterr().out.strip().splitlines()[-2:]
    where = record["found"].partition(", first seen in ")[2]
    assert where in recorded and where in again
