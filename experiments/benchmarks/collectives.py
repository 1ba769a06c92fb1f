"""What devices move between each other in a step, read from the text of a compiled program."""

import re

import numpy as np


ITEM_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "f64": 8}
MOVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def moved(text: str) -> dict[str, dict[str, int]]:
    """By operation, how often a device takes part in it in one step, and the bytes of its results."""
    bodies, name = {}, None
    for line in text.splitlines():
        opening = re.match(r"(ENTRY )?%?([\w.-]+) .*\{$", line)
        if opening:
            name = "ENTRY" if opening[1] else opening[2]
            bodies[name] = []
        elif name is not None:
            bodies[name].append(line)
    totals = {move: {"times": 0, "bytes": 0} for move in MOVES}
    _walk(bodies, "ENTRY", 1, totals)
    return {move: total for move, total in totals.items() if total["times"]}


def _walk(bodies, name, times, totals):
    for line in bodies[name]:
        found = re.match(r"\s*(?:ROOT )?%?[\w.-]+ = (.*?) ([\w-]+)\(", line)
        if not found:
            continue
        kind = found[2].removesuffix("-start")
        if kind in MOVES:
            totals[kind]["times"] += times
            totals[kind]["bytes"] += times * bytes_of(found[1])
        if kind == "while":
            trips = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)  # of unknown number: the loop over steps, once
            _walk(bodies, re.search(r"body=%?([\w.-]+)", line)[1], times * int(trips[1] if trips else 1), totals)
        elif kind in ("call", "conditional"):
            for called in re.findall(r"(?:to_apply|\w+_computation)=%?([\w.-]+)", line):
                _walk(bodies, called, times, totals)


def bytes_of(shapes: str) -> int:
    """The bytes of arrays whose types and shapes are written as "f32[2,3], s32[4]"."""
    arrays = re.findall(r"(\w+)\[([\d,]*)\]", shapes)
    return sum(ITEM_BYTES[kind] * int(np.prod([int(n) for n in sizes.split(",") if n])) for kind, sizes in arrays)
