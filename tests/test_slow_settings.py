"""The entry points under JAX's own settings: each works."""

import os
import subprocess
import sys

import pytest


SETTINGS = {
    "JAX_ENABLE_X64": "1",
    "JAX_DEBUG_NANS": "1",
    "JAX_DISABLE_JIT": "1",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_entry_points_work_under_a_setting(tmp_path, name):
    command = [sys.executable, "-m", "tests.entry_points", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, name: SETTINGS[name]})
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
