"""Every study runs in its smallest form, from a folder of its own, and leaves a record and a page."""

import html
import json
import os
import subprocess
import sys

import pytest

from experiments.make_index import entry, scripts


SCRIPTS = scripts()


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_smoke(script, tmp_path):
    command = [sys.executable, str(script), "--smoke", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "Agg"}
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / f"{script.stem}.json").read_text())
    assert record["command"] == f"python {entry(script).study.script} --smoke"
    assert {"python", "jax", "numpy"} <= record["versions"].keys() and record["machine"]["cores"]
    assert record["answer"] in done.stdout and record["rows"] and record["seeds"]
    assert html.escape(record["answer"]) in (tmp_path / "out" / "report.html").read_text()
