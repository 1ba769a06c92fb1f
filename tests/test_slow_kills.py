"""Killed anywhere, resumed, from a mirror alone too: bit for bit the run that was never killed."""

from collections import Counter
from pathlib import Path

import pytest

from tests.kills.chains import kill_many
from tests.kills.watch import STAGES


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the names of open folders are read from /proc"),
]


def test_twenty_kills_at_random_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    stages = Counter()
    kill_many(tmp_path, 20, seed=0, report=lambda kills: stages.update(kill.death.stage for kill in kills))
    assert stages.total() == 20 and set(stages) == set(STAGES)
