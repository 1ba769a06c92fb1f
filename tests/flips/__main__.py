"""Flips bits over all files of a run and counts what becomes of its answers: python -m tests.flips --flips 500."""

import argparse
import tempfile
from pathlib import Path

from tests.flips.questions import ask, draw_flips, make_run


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder))
        ends, faults = ask(run, draw_flips(run, arguments.flips, arguments.seed), Path(folder))
    for (question, end), number in sorted(ends.items()):
        print(f"{question}: {number:,} of {arguments.flips:,} {end}")
    print(f"{len(faults)} faults", *faults, sep="\n")
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
