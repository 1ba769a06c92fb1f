"""Is this device right, how fast is it, and what bounds it? One command for the minutes that one is at hand.

    python experiments/accelerator.py                 for 8 minutes on one GPU or TPU chip, compilation included
    python experiments/accelerator.py --minutes 60    all cases on an H200; the most telling come first
    python experiments/accelerator.py --only cudnn    some cases, here those of cuDNN
    python experiments/accelerator.py --smoke         a CPU; numbers mean nothing
    python experiments/accelerator.py --write-table   writes what recurrence="auto" reads, from all records; then ends

Right: every cell and engine with masks, resets, ragged rows and in both directions, losses, generation and the gradient
map against float64 on the host, in float32 with TF32 off, in TF32 and in bfloat16; what was reported of cuDNN; the same
bits of a run that is made twice, and of one that is resumed.

Fast: LSTM and GRU layers by engine, unrolling, number type, with loops in CUDA graphs and beside torch in the same
process; training steps, eight seeds at once, generation, the gradient map, a whole training. Medians, compile times,
memory, and what bounds each: XLA's counts of operations and bytes against two ceilings that are measured first.
Cases of "right?" go on beside each other, three for every four cores of the host; nothing goes on beside what is timed,
nor beside its compilation, in which XLA times products to choose between them.

DEVICE.json is whole after every case; then come DEVICE.png and a table, whose last line is the one to report. Given
again on the same device with the same versions, the command goes on with the cases that the record lacks. Needs
jax, flax, optax, orbax-checkpoint, jaxtyping, numpy and matplotlib; torch is the peer where it is installed.
"""

import argparse
import os
import re
import shlex
import sys
import time
from pathlib import Path


sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a clone that is not installed
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch and processes of their own need memory too
if os.environ.get("JAX_PLATFORMS", "cpu").split(",").count("cpu") == 0:
    os.environ["JAX_PLATFORMS"] += ",cpu"  # float64 is computed on the host

from experiments.accelerators import (
    ceilings as ceilings_of,
)
from experiments.accelerators import (
    command_buffers,
    engine_table,
    fast_layers,
    fast_models,
    picture,
    right_bits,
    right_cells,
    right_cudnn,
    right_models,
    table,
)
from experiments.accelerators.cases import Case, by_turns, run_cases
from experiments.accelerators.record import Record
from experiments.harness.machine import cores
from lm_jax.errors import UserError


SMOKE = ("lstm scan float32", "loss softmax float32", "lstm B2 T3 H8 both fused float32", "lstm cudnn float32")


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--minutes", type=float, default=8.0, help="how long it may take (default: 8)")
    found.add_argument(
        "--only", nargs="+", metavar="PATTERN", type=pattern_of, help="cases whose names have one of these expressions"
    )
    found.add_argument("--smoke", action="store_true", help="a few cases at tiny sizes; numbers mean nothing")
    found.add_argument("--out", type=Path, default=engine_table.RESULTS, help="folder for record and picture")
    found.add_argument("--write-table", action="store_true", help=f"only write {engine_table.TABLE.name} from records")
    found.add_argument("--child", help=argparse.SUPPRESS)
    return found


def pattern_of(text: str) -> re.Pattern[str]:
    """A regular expression that knows no capitals."""
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"a pattern must be a regular expression, got {text!r} ({error})") from error


def right_cases(platform: str, smoke: bool) -> list[Case]:
    """Those of "right?"."""
    size = right_cells.TINY if smoke else right_cells.Size()
    cells = list(right_cells.cell_cases(platform, size))
    models = list(right_models.model_cases(platform))
    bits, cudnn = list(right_bits.bit_cases(platform)), list(right_cudnn.cudnn_cases(platform))
    return by_turns(cells, models, bits, cudnn)


def fast_cases(platform: str, ceilings: dict[str, float], smoke: bool) -> list[Case]:
    """Those of "fast?": layers by rank, beside whole models."""
    shapes = fast_layers.SMOKE if smoke else fast_layers.ON_CPU if platform == "cpu" else fast_layers.SHAPES
    cells = ("lstm", "gru", "rnn") if platform == "cpu" else ("lstm", "gru")
    ranked: list[tuple[float, Case]] = []
    for shape, sizes in shapes.items():
        works = {name: work for cell in cells for name, work in fast_layers.works({shape: sizes}, cell).items()}
        for name, work in works.items():
            ranked += fast_layers.cases_of(name, work, platform, ceilings)
        if platform == "gpu":  # after bfloat16
            ranked.append((1.5, command_buffers.case(shape, works, ceilings)))
    layers = [case for _, case in sorted(ranked, key=lambda one: one[0])]
    return by_turns(layers, list(fast_models.model_cases(platform, ceilings, smoke)))


def run(arguments: argparse.Namespace, started: float) -> Record:
    """Measures, and leaves the record."""
    words = [word for word in sys.argv[1:] if word != "--out" and word != str(arguments.out)]
    record = Record(arguments.out, shlex.join(["python", "experiments/accelerator.py", *words]), arguments.smoke)
    platform, deadline = record.head["platform"], started + 60 * arguments.minutes
    ceilings = ceilings_of.measure(platform, arguments.smoke)
    workers = max(1, 3 * (cores() or 1) // 4)
    record.write(ceilings=ceilings, beside_each_other=workers)
    every = by_turns(right_cases(platform, arguments.smoke), fast_cases(platform, ceilings, arguments.smoke))
    if arguments.smoke:
        every = [case for case in every if case.name in SMOKE]
    cases = [case for case in every if case.name not in record.done]
    if arguments.only:
        cases = [case for case in cases if any(pattern.search(case.name) for pattern in arguments.only)]

    def add(row):
        record.add([row | one for one in row.pop("several", [{}])])
        said = {True: "right", False: "WRONG"}.get(row.get("right"), row.get("refused") or row.get("failed") or "")
        took = f" {row['median_ms']:.4g} ms" if "median_ms" in row else ""
        print(f"{time.perf_counter() - started:6.1f} s  {row['case']}{took} {said}"[:80], flush=True)

    run_cases(cases, deadline, add, workers=workers)
    asked = {row["case"] for row in record.rows}
    record.write(left_out=[case.name for case in every if case.name not in asked])
    return record


def main() -> None:
    """Parses the command line and does what it says."""
    started, arguments = time.perf_counter(), parser().parse_args()
    if arguments.write_table:
        print(engine_table.write())
    elif arguments.child:
        command_buffers.child(arguments.child)
    else:
        try:
            record = run(arguments, started)
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        image = record.path.with_suffix(".png")
        drawn = picture.draw(record.content, image)
        print("", table.table(record.content), "", record.path, *([image] if drawn else []), sep="\n")


if __name__ == "__main__":
    main()
