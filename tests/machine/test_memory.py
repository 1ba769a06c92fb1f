"""Memory that was used once is not asked for again."""

import subprocess
import sys

import pytest

from lm_jax.machine.memory import reuse_memory


PROGRAM = """
import resource, sys
from lm_jax.machine.memory import reuse_memory
kept = reuse_memory() if sys.argv[1] == "reuse" else True

def use():
    for megabytes in (3, 40, 7, 80):
        b"x" * (megabytes * 2**20)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    """(what `reuse_memory` said, page faults of memory that had been used and freed before)."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="the settings are those of glibc on Linux")
def test_freed_memory_is_used_again():
    kept, count = faults("reuse")
    if kept == "False":
        pytest.skip("the C library is not glibc")
    _, usual = faults("leave")
    assert usual > 10_000  # 80 MB are above any threshold of the C library
    assert count < 100


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert reuse_memory() is False
