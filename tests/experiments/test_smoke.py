"""Every experiment runs in its smallest form, from a folder of its own, and writes a JSON record."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


SCRIPTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_smoke(script, tmp_path):
    command = [sys.executable, str(script), "--smoke", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "Agg"}
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / f"{script.stem}.json").read_text())
    assert record["command"].startswith(f"python experiments/{script.name}")
