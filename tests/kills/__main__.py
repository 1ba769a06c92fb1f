"""Kills runs at random, resumes them and counts those that come out equal: python -m tests.kills --kills 200."""

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.kills.chains import kill_many


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    stages, lost, chains, began = Counter(), 0, 0, time.monotonic()

    def report(kills):
        nonlocal lost, chains
        stages.update(kill.death.stage for kill in kills)
        lost, chains = lost + sum(kill.from_mirror for kill in kills), chains + 1
        print(
            f"{stages.total()} kills",
            *(f"{k.death.stage} {k.death.number} + {k.death.after:.3f} s" for k in kills),
            sep=", ",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{folder}/cache"
        kill_many(Path(folder), arguments.kills, arguments.seed, report)
    counted = ", ".join(f"{stage} {count}" for stage, count in stages.items())
    print(
        f"{stages.total()} kills of {chains} runs, all bit-equal to one never killed ({counted}; "
        f"{lost} times only the mirror was left); {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
