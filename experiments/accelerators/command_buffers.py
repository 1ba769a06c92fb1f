"""XLA's loops in CUDA graphs: flags that a process is begun with, so that each measurement has one of its own.

By default XLA leaves `while` loops out of CUDA graphs, and starts the kernels of every step from the host.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from experiments.accelerators import fast_layers
from experiments.accelerators.cases import Case, Row
from experiments.benchmarks.peers.work import Layers


FLAGS = "--xla_gpu_enable_command_buffer=+WHILE --xla_gpu_command_buffer_unroll_loops=true"
SCRIPT = Path(__file__).resolve().parents[1] / "accelerator.py"
LONGEST = 120  # seconds of a process
NAME = "scan in CUDA graphs"


def case(shape: str, works: Mapping[str, Layers], ceilings: dict[str, float], flags: str = FLAGS) -> Case:
    """One process: all pieces of work of a shape, by the scan in float32. The rows are under "several"."""

    def run() -> Row:
        environment = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}
        asked = json.dumps({"works": {name: list(work) for name, work in works.items()}, "ceilings": ceilings})
        command = [sys.executable, str(SCRIPT), "--child", asked]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LONGEST)
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [""]
            return {"failed": f"the process ended with {done.returncode}: {lines[-1][:200]}"}
        return {"several": json.loads(done.stdout.splitlines()[-1]), "flags": flags}

    return Case("fast", f"{shape} {NAME}", 60.0, run)


def child(asked: str) -> None:
    """The process's side: measures, and prints the rows as one line."""
    given, rows = json.loads(asked), []
    for name, fields in given["works"].items():
        work = Layers(*fields)
        row = fast_layers.measured(work, "scan", "float32", 1, given["ceilings"])
        facts = {"engine": "scan", "unroll": 1, "command_buffers": True}
        rows.append({"work": name, "by": NAME, "form": "float32", **work._asdict(), **facts, **row})
    print(json.dumps(rows))
