"""The table that `recurrence="auto"` reads, written as code from the records of all devices.

That of the CPU is experiments/benchmarks/speed.py's, which measures by turns, and for longer.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


RESULTS = Path(__file__).resolve().parents[1] / "results" / "accelerator"
TABLE = Path(__file__).resolve().parents[2] / "lm_jax" / "cells" / "engines" / "measured.py"
# Engines that do all that a cell is asked for, such as masks and vmap, and were right wherever a record asks.
CHOSEN_FROM = ("scan", "fused")
HEAD = '''"""The engine that was measured to be fastest, by device, cell and shape: gradients of one layer in float32.

Written by `python experiments/accelerator.py --write-table`, not to be edited: for accelerators from the records in
experiments/results/accelerator/, for the CPU from benchmarks/speed/speed.json beside it (two layers each there).
A device that is not here was not measured.
"""

from lm_jax.cells.engines.measurement import Measured


'''


SPEED = RESULTS.parent / "benchmarks" / "speed" / "speed.json"
NAMES = {"lm_jax": "fused", "lm_jax scan": "scan"}  # of speed.py's contenders: the default there is that of the CPU


def records() -> list[dict[str, Any]]:
    """Those of all devices, without smoke tests: the CPU's, then those of accelerators by name."""
    found = [json.loads(path.read_bytes()) for path in sorted(RESULTS.glob("*.json"))]
    return [on_cpu(json.loads(SPEED.read_bytes()))] + [
        record for record in found if not record["smoke"] and record["platform"] != "cpu"
    ]


def on_cpu(record: dict[str, Any]) -> dict[str, Any]:
    """The layers of speed.py's record, as rows of this one."""
    works, rows = record["results"]["work"], []
    for name, found in record["results"]["results"].items():
        if works[name]["kind"] == "Layers":
            for contender, engine in NAMES.items():
                facts = {**works[name], "engine": engine, "unroll": 1, "form": "float32"}
                rows.append(facts | {"minimum_ms": found["minimum_ms"][contender]})
    return {"device": "cpu", "rows": rows}


def fastest(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, int, int, int, str]]:
    """(cell, batch, steps, units, engine) of each layer that at least two of the engines to choose from ran at."""
    times: dict[tuple, dict[str, float]] = {}
    for row in rows:
        known = row.get("engine") in CHOSEN_FROM and row.get("unroll") == 1 and not row.get("command_buffers")
        if known and row["direction"] == "both" and row["form"] == "float32":
            place = row["cell"], row["batch"], row["steps"], row["units"]
            times.setdefault(place, {})[row["engine"]] = row["minimum_ms"]  # other work slows rounds, never speeds them
    for place, found in sorted(times.items()):
        if len(found) > 1:
            yield *place, min(found, key=lambda engine: found[engine])


def source(found: Sequence[dict[str, Any]]) -> str:
    """The text of the module."""
    lines = ["MEASURED: dict[str, tuple[Measured, ...]] = {"]
    for record in found:
        rows = [
            f'        Measured("{c}", {b}, {t}, {h}, "{engine}"),' for c, b, t, h, engine in fastest(record["rows"])
        ]
        if rows:
            lines += [f'    "{record["device"]}": (', *rows, "    ),"]
    return HEAD + "\n".join([*lines, "}"]) + "\n"


def write() -> Path:
    """Writes the table anew, and returns its path."""
    TABLE.write_text(source(records()))
    return TABLE
