"""Damages files for as long as it is told, and prints tries, refusals and faults: python -m tests.fuzz --seconds 60."""

import argparse
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.targets import TARGETS, attempt


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60, help="for each kind of file")
    parser.add_argument("--first", type=int, default=0, help="seed of the first try")
    parser.add_argument("--kinds", nargs="*", default=list(TARGETS), choices=list(TARGETS))
    arguments = parser.parse_args()
    for name in arguments.kinds:
        refused, faults, seed, end = 0, {}, arguments.first, time.monotonic() + arguments.seconds
        with tempfile.TemporaryDirectory() as folder:
            while time.monotonic() < end:
                try:
                    refused += attempt(name, seed, Path(folder)) is not None
                except Exception as error:
                    faults.setdefault(f"{type(error).__name__}: {str(error)[:100]}", (seed, traceback.format_exc()))
                seed += 1
        print(f"{name}: {seed - arguments.first:,} tries, {refused:,} refused in one line, {len(faults)} faults")
        for words, (first, trace) in faults.items():
            print(f"  seed {first}: {words}\n{trace}")


if __name__ == "__main__":
    main()
