"""Seven small runs, and every number that they leave behind, for a record that a change of the code is held against.

    python -m tests.runs.recorded_bits --record FILE
    python -m tests.runs.recorded_bits --check FILE

The runs are made by the command line, and what is compared is what lies in their folders: nothing here knows how the
code inside is arranged. `tests/runs/test_recorded_bits.py` does the same as --check, run by run.
"""

import argparse
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

import tests.conftest  # noqa: F401 (sets the environment that JAX is to start in, so it comes first)
from tests.runs.toy import saved_arrays, write_corpus


RECORD = Path(__file__).parents[1] / "golden" / "recorded_bits.json"

SMALL = "train --hidden-size 8 --bptt 8 --log-every 5 --eval-streams 3 "
RUNS = {
    "rnn": (
        SMALL + "--steps 12 --cell rnn --embedding-size 8 --tied --recurrence scan --init identity --init-scale 0.9 "
        "--batch-size 4 --optimizer sgd --lr 1 --clip None --schedule constant --averaging ntasgd --nonmono 1 "
        "--random-bptt --eval-every 2 --telemetry-every 8 --seed 1",
        "train --resume {run} --steps 20",
    ),
    "gru": (
        SMALL + "--steps 20 --cell gru --gru-reset before --embedding-size 4 --layers 2 --connection residual "
        "--batch-size 4 --accumulate 2 --activation-reg 0.5 --temporal-reg 0.5 --scheduled-sampling 0.25 "
        "--optimizer adamw --weight-decay 0.1 --lr 0.01 --warmup-steps 4 --eval-every 8",
    ),
    "lstm": (
        SMALL + "--steps 20 --cell lstm --embedding-size 4 --layers 2 --connection highway --dropout 0.2 "
        "--dropout-kind locked --dropout-embedding 0.1 --weight-drop 0.2 --forget-bias 0.5 --init uniform "
        "--batch-size 4 --optimizer adam --lr 0.5 --weight-decay 0.01 --schedule plateau --decay-factor 0.5 "
        "--averaging ema --ema-decay 0.9 --clip 0.2 --eval-every 4 --telemetry-every 10",
    ),
    "window": (
        SMALL + "--steps 20 --model window --window 3 --embedding-size 4 --layers 2 --direct --layer-norm "
        "--connection residual --nonlinearity relu --level byte --dropout 0.1 --batch-size 4 --lr 0.02 "
        "--decay-steps 15 --eval-every 5 --checkpoint-every 3",
    ),
    "adaptive softmax": (
        SMALL + "--steps 20 --level word --cutoffs 3 5 --cutoff-factor 2 --embedding-size 4 --layers 2 "
        "--connection dense --top-size 6 --dropout-output 0.1 --dropout-layer 0.2 --dropout-input 0.3 "
        "--recurrence fused --batch-size 4 --lr 0.02 --eval-every 6",
    ),
    "sentence": (
        SMALL + "--epochs 4 --level word --min-count 2 --mode sentence --cell gru --embedding-size 4 "
        "--compute-dtype bfloat16 --batch-size 6 --lr 0.3 --telemetry-every 12 --patience 2",
    ),
    "n-gram": ("ngram train --order 4 --prune-counts 0 0 1 --eval-streams 3",),
}

# Of results.json: what depends on the clock, on where the run lies, or on how well a library compresses.
NOT_COMPARED = ("run", "seconds", "mirror", "bytes", "checksum")
# Names that the records of later code may have beyond those of this one.
COUNTERS = "skipped in_a_row unreported fault loss norm rate clip stopped spikes mean variance seen first due".split()
EXTRA_ALLOWED: tuple[str, ...] = ("incidents", *(f"['train']['incidents']['{name}']" for name in COUNTERS))

# Where the numbers cannot be equal bit for bit: what is near all the same, and what says nothing about the code.
LOSSES = ("loss", "valid_loss", "cross_entropy", "bits_per_byte", "bits_per_character")
DEPENDS_ON_ROUNDING = ("best", "best_step", "sample", "horizon_10", "horizon_1")
LOOSE = 1e-3
DIGEST = re.compile(r"(?<=\] )[0-9a-f]{64}$")


class Mismatch(NamedTuple):
    """Where two records differ: the file, the path in it, the recorded value and the one of now."""

    run: str
    file: str
    path: str
    recorded: Any
    found: Any

    def __str__(self):
        recorded, found = (repr(value)[:200] for value in (self.recorded, self.found))  # it may be all of a file
        return f"{self.run}: {self.file}: {self.path}: recorded {recorded}, found {found}"


class _Missing:
    def __repr__(self):
        return "nothing"


MISSING = _Missing()


def environment() -> dict[str, str]:
    """All that the bits of a result depend on beside the code: versions, processor, flags of the compiler."""
    versions = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "optax")}
    flags = os.environ.get("XLA_FLAGS", "")
    return versions | {"machine": platform.machine(), **_processor(), "XLA_FLAGS": flags}


def differences(recorded: dict[str, str]) -> list[str]:
    """What is not as it was where the record was made; where this is nothing, results are equal bit for bit."""
    here = environment()
    return [name for name, value in recorded.items() if here[name] != value]


def _processor():
    """Its name, and the vector instructions that the compiler may choose from: one name stands for several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {"processor": platform.processor(), "instructions": ""}
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    vector = [f for f in sorted(facts.get("flags", "").split()) if f.startswith(("sse", "avx", "fma", "f16c", "amx"))]
    return {"processor": facts.get("model name", ""), "instructions": " ".join(vector)}


def carry_out(name: str, folder: Path) -> dict[str, Any]:
    """Makes a run of RUNS in an empty folder, through the command line; all that is recorded of it."""
    from lm_jax.cli.main import main

    text, run = write_corpus(folder / "text"), folder / "run"
    # A name that JAX did not read when it started: programs are compiled anew, and the user's cache stays as it is.
    with mock.patch.dict(os.environ, JAX_COMPILATION_CACHE_DIR=str(folder / "compiled")):
        for command in RUNS[name]:
            words = [word.format(run=run) for word in command.split()]
            main(words if "--resume" in words else [*words, "--data", text, "--run", str(run)])
    return collect(run)


def collect(run: Path) -> dict[str, Any]:
    """What a run folder holds, by file: metrics, results, and a digest of every array of its model."""
    results = json.loads((run / "results.json").read_text())
    found = {"results.json": {name: value for name, value in results.items() if name not in NOT_COMPARED}}
    if (run / "tables.npz").exists():
        with np.load(run / "tables.npz") as tables:
            return found | {"tables.npz": _digests(tables)}
    found["metrics.jsonl"] = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    newest = max(int(path.name) for path in (run / "states").iterdir() if path.name.isdigit())
    steps = {"newest checkpoint": newest, "best checkpoint": results["best_step"]}
    return found | {name: _digests(saved_arrays(run, step)) for name, step in steps.items()}


def _digests(arrays):
    return {path: digest(np.asarray(array)) for path, array in arrays.items()}


def digest(array: np.ndarray) -> str:
    """Such as "float32[8,4] 0a1b...": the kind of an array in words, and the SHA-256 of that and of its bytes."""
    kind = f"{array.dtype}[{','.join(map(str, array.shape))}]"
    return f"{kind} {hashlib.sha256(kind.encode() + array.tobytes()).hexdigest()}"


def compare(run: str, recorded: dict[str, Any], found: dict[str, Any], exact: bool) -> list[Mismatch]:
    """Every difference between what is recorded of a run and what was found.

    exact: numbers are equal (NaN equals NaN); otherwise `_near` says what must hold.
    """
    same = _equal if exact else _near
    files = sorted(recorded.keys() | found.keys())
    pairs = [(file, *pair) for file in files for pair in _pairs(recorded.get(file, MISSING), found.get(file, MISSING))]
    return [Mismatch(run, file, *pair) for file, *pair in pairs if not same(*pair)]


def _pairs(recorded, found, path=""):
    """(path, recorded, found) of every value that is no object or list, in either; MISSING where one has none."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        names = [*recorded, *(name for name in found if name not in recorded and name not in EXTRA_ALLOWED)]
        children = [(name, recorded.get(name, MISSING), found.get(name, MISSING)) for name in names]
    elif isinstance(recorded, list) and isinstance(found, list):
        at = range(max(len(recorded), len(found)))
        children = [(i, *(values[i] if i < len(values) else MISSING for values in (recorded, found))) for i in at]
    else:
        yield path, recorded, found
        return
    for name, one, other in children:
        yield from _pairs(one, other, f"{path}/{name}")


def _equal(path, recorded, found):
    return recorded == found or (_is_nan(recorded) and _is_nan(found))


def _is_nan(value):
    return isinstance(value, float) and math.isnan(value)


def _near(path, recorded, found):
    """Whether two values agree as far as they do on any machine: the same names, shapes, counts and words, and losses
    to LOOSE. Of other fractional numbers (gradient norms, exponents) only that they are there."""
    name = path.rpartition("/")[2]
    if recorded is MISSING or found is MISSING:
        return False
    if name in DEPENDS_ON_ROUNDING:
        return True
    if isinstance(recorded, float) and isinstance(found, float):
        same_loss = math.isclose(recorded, found, rel_tol=LOOSE) or (_is_nan(recorded) and _is_nan(found))
        return same_loss or name not in LOSSES
    if isinstance(recorded, str) and isinstance(found, str):
        return DIGEST.sub("", recorded) == DIGEST.sub("", found)
    return recorded == found


def _carry_out_and_leave_nothing(name):
    with tempfile.TemporaryDirectory() as folder:
        return carry_out(name, Path(folder))


def record(file: Path) -> None:
    """Makes all runs and writes the record."""
    content = {"environment": environment(), "runs": {name: _carry_out_and_leave_nothing(name) for name in RUNS}}
    file.write_text(json.dumps(content, indent=0) + "\n")


def check(file: Path) -> list[Mismatch]:
    """Makes all runs and tells how they differ from the record; loosely where the environment is another."""
    content = json.loads(file.read_text())
    others = differences(content["environment"])
    print("compared exactly" if not others else f"compared loosely: other {', '.join(others)}", file=sys.stderr)
    mismatches = []
    for name in RUNS:
        mismatches += compare(name, content["runs"][name], _carry_out_and_leave_nothing(name), exact=not others)
    return mismatches


def main() -> None:
    """--record FILE or --check FILE; a difference ends in exit code 1."""
    parser = argparse.ArgumentParser(description="Seven small runs against a record of all their numbers.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--record", type=Path, metavar="FILE", help="write what the runs leave behind")
    which.add_argument("--check", type=Path, metavar="FILE", help="compare with what was written")
    arguments = parser.parse_args()
    if arguments.record is not None:
        record(arguments.record)
        return
    mismatches = check(arguments.check)
    print("\n".join(map(str, mismatches)) or "no difference")
    sys.exit(bool(mismatches))


if __name__ == "__main__":
    main()
