"""How fast is lm_jax beside torch, flax nnx and flax linen, and beside the matrix products alone?

    pip install torch==2.13.0                           in an environment of its own
    python experiments/benchmarks/speed.py              about 10 minutes on 2 CPU cores
    python experiments/benchmarks/speed.py --only "step small" --rounds 4    prints; writes only into an --out
    python experiments/benchmarks/speed.py --device gpu    adds long sequences, bfloat16, cuDNN through torch

The same work by every contender in one process, by turns: a round is the median of as many repetitions as take half a
second, or of one; then minima and medians over the rounds. Compilation is apart. On a machine that does other work as
well, the minima count. All use all cores, default settings, and memory that is kept in large pages, as `lm-jax train`
has it (`reuse_memory` of lm_jax.machine, which serves torch too). lm_jax's training steps come in dispatches of about a
second, as its loop makes them. "ceiling" is the time of the matrix products alone, as a share of lm_jax's. Without
torch its columns are left out. Memory is what three training steps add to the peak of a process of their own.

Expected: nothing was predicted before the first measurement; the aim is at least torch's speed at every size.
"""

import argparse
import functools
import importlib.util
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jax

from experiments.benchmarks.peers import ours, products
from experiments.benchmarks.peers.work import Generation, Layers, Step
from experiments.benchmarks.speed_findings import findings
from experiments.harness import Study, integer
from experiments.harness.rows import without
from experiments.harness.timing import by_turns, medians, minima, timed
from lm_jax.machine import reuse_memory


STUDY = Study(
    __doc__,
    __file__,
    {
        "--rounds": integer(5),
        "--only": {"default": "", "help": "only work whose name holds this"},
        "--device": {"choices": ("cpu", "gpu"), "default": "cpu"},
        "--peak": {"choices": ("lm_jax", "torch"), "help": argparse.SUPPRESS},
    },
)
HAS_TORCH = importlib.util.find_spec("torch") is not None
CPU_CASES = {
    **{f"{cell} 2x{n}": Layers(cell, 2, n, 20, 35) for n in (200, 650) for cell in ("lstm", "gru", "rnn")},
    "lstm 2x512 B64 T128": Layers("lstm", 2, 512, 64, 128),
    "lstm 2x200 forward": Layers("lstm", 2, 200, 20, 35, "forward"),
    "step small": Step(2, 200, 10_000, False, 0.0, 20, 35),
    "step medium": Step(2, 650, 10_000, False, 0.5, 20, 35),
    "step WikiText-2": Step(2, 650, 33_278, True, 0.5, 20, 35),
    "generation 2x200": Generation(2, 200, 10_000, 128),
}
GPU_CASES = {
    "lstm B16 T1024 H768": Layers("lstm", 1, 768, 16, 1024),
    "lstm B64 T512 H1024": Layers("lstm", 1, 1024, 64, 512),
    "lstm B16 T1024 H768 forward": Layers("lstm", 1, 768, 16, 1024, "forward"),
    "lstm B64 T512 H1024 forward": Layers("lstm", 1, 1024, 64, 512, "forward"),
}
SMOKE_CASES = {
    "lstm": Layers("lstm", 2, 8, 2, 3),
    "step": Step(1, 8, 12, True, 0.5, 2, 3),
    "generation": Generation(1, 8, 12, 4),
}
MEMORY_CASES = ("step small", "step medium", "step WikiText-2")


def contenders(work, gpu: bool) -> dict:
    """Name -> a function that builds the contender."""
    kind = {Layers: "layers", Step: "step", Generation: "generation"}[type(work)]
    build = functools.partial(getattr(ours, kind), work)
    found = {"lm_jax": build}
    if kind != "generation":
        found |= {"lm_jax scan": functools.partial(build, recurrence="scan")}
        if gpu:
            found |= {"lm_jax fused": functools.partial(build, recurrence="fused")}
            found |= {"lm_jax bf16": functools.partial(build, recurrence="fused", compute_dtype="bfloat16")}
        from experiments.benchmarks.peers import flax_peer

        if kind == "layers":
            found |= {"linen": functools.partial(flax_peer.linen_layers, work)}
            found |= {"nnx": functools.partial(flax_peer.nnx_layers, work)}
        else:
            found |= {"nnx": functools.partial(flax_peer.step, work)}
    return found | (_torch_contenders(work, kind, gpu) if HAS_TORCH else {})


def _torch_contenders(work, kind, gpu):
    import torch

    from experiments.benchmarks.peers import torch_peer

    build = functools.partial(getattr(torch_peer, kind), work)
    if kind == "generation":
        return {"torch": build}
    if gpu:
        build = functools.partial(build, device="cuda")
        return {"torch": build, "torch bf16": functools.partial(build, dtype=torch.bfloat16)}
    return {"torch": build, "torch compiled": functools.partial(build, compiled=True)}


def time_case(work, rounds: int, gpu: bool) -> dict:
    """Milliseconds of a piece of work by each contender, and lm_jax's speed as a multiple of each."""
    entries = {name: build() for name, build in contenders(work, gpu).items()}
    once = {name: _measure(entry, 1) for name, entry in entries.items()}  # to warm up
    once = {name: _measure(entry, 1) for name, entry in entries.items()}
    repeats = {name: max(1, int(0.5 / (once[name] * entries[name].units))) for name in entries}
    work_of = {name: functools.partial(_milliseconds, entry, repeats[name]) for name, entry in entries.items()}
    times = by_turns(work_of, rounds, warm_up=0)
    least, middle = minima(times), medians(times)
    row = {"minimum_ms": least, "median_ms": middle}
    for name, found in (("ratio_of_minima", least), ("ratio_of_medians", middle)):
        row[name] = {peer: value / found["lm_jax"] for peer, value in found.items()}
    row["compile_seconds"] = {name: e.compile_seconds for name, e in entries.items() if e.compile_seconds is not None}
    if not isinstance(work, Generation):
        row["products_ms"] = 1e3 * products.seconds(work, rounds)
        row["share_of_ceiling"] = row["products_ms"] / least["lm_jax"]
    return row


def _milliseconds(entry, repeats):
    return 1e3 * _measure(entry, repeats)


def _measure(entry, repeats):
    """The median time of a piece of work, in seconds."""
    return statistics.median(timed(entry.run)[0] / entry.units for _ in range(repeats))


def peak_of(name: str, peer: str) -> float:
    """MiB that three training steps add to a process of their own."""
    command = [sys.executable, __file__, "--peak", peer, "--only", name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_peak(name: str, peer: str) -> None:
    """The child's side of `peak_of`."""
    work = CPU_CASES[name]
    if peer == "torch":
        from experiments.benchmarks.peers import torch_peer as module
    else:
        module = ours
    jax.block_until_ready(jax.numpy.ones(()) + 1)
    before = _high_water()
    entry = module.step(work)
    while entry.units < 3:
        entry = entry._replace(units=entry.units * 3, run=lambda run=entry.run: [run() for _ in range(3)])
    entry.run()
    print(_high_water() - before)


def _high_water():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def print_row(name, row):
    """One line of the table."""
    cells = " ".join(f"{key} {value:5.2f}" for key, value in without(row["ratio_of_minima"], "lm_jax").items())
    ceiling = f" ceiling {100 * row['share_of_ceiling']:3.0f} %" if "share_of_ceiling" in row else ""
    print(f"{name:<22} {row['minimum_ms']['lm_jax']:9.3f} ms   times as fast as: {cells}{ceiling}", flush=True)


def measure(cases: dict, rounds: int, gpu: bool) -> dict:
    """A row for each piece of work, printed as it comes."""
    results = {}
    for name, work in cases.items():
        results[name] = time_case(work, rounds, gpu)
        print_row(name, results[name])
        if name in MEMORY_CASES and not gpu:
            peers = ("lm_jax", "torch") if HAS_TORCH else ("lm_jax",)
            results[name]["peak_MiB"] = {peer: peak_of(name, peer) for peer in peers}
            print(" " * 22, "peak memory", {k: f"{v:.0f} MiB" for k, v in results[name]["peak_MiB"].items()})
    return results


def run(arguments) -> dict | None:
    """Measures; nothing is written of a part of the work unless --out says where."""
    reuse_memory()
    if arguments.peak:
        print_peak(arguments.only, arguments.peak)
        return None
    gpu = arguments.device == "gpu"
    cases = SMOKE_CASES if arguments.smoke else CPU_CASES | (GPU_CASES if gpu else {})
    cases = {name: work for name, work in cases.items() if arguments.only in name}
    rounds = 1 if arguments.smoke else arguments.rounds
    measured = measure(cases, rounds, gpu)
    if arguments.only and arguments.out == STUDY.results:
        return None
    return {
        "flax": metadata.version("flax"),
        "torch": metadata.version("torch") if HAS_TORCH else None,
        "rounds": rounds,
        "work": {name: {"kind": type(work).__name__, **work._asdict()} for name, work in cases.items()},
        "results": measured,
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
