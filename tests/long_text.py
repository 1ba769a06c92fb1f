"""Makes a long text, and measures the memory that whole commands take for it.

python -m tests.long_text --mib 1024 --words wikitext-2/train.txt     half an hour of CPU time; 20 GiB of TMPDIR
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np


MIB = 2**20
TYPES, OTHERS = 200_000, 0.2  # words that are made up, by Zipf's law, and their share in a text of real ones
COMMANDS = {
    "ngram": "ngram train --level word --order 3 --max-memory 512",
    "train": "train --level word --max-vocab 10000 --steps 200",
}
# Linux begins a process's account with the most that the memory it was started in ever held: that of a test process,
# of some GiB. So a small process starts the command, and says what that took.
WATCHED = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, used = os.wait4(process, 0)
print(used.ru_maxrss)
sys.exit(status != 0)
"""


def make_text(path: Path, size: int, words: Path | None = None) -> None:
    """Writes lines of made-up words, or the lines of a text again and again with some words replaced by such.

    Args:
        path: The file to write.
        size: Its bytes, about.
        words: A text of real words; None for made-up ones alone.
    """
    draw, others = np.random.default_rng(0), np.array([f"w{number:x}" for number in range(TYPES)], object)
    reach = np.cumsum(1 / np.arange(1, TYPES + 1))
    lines = _lines(words)
    replaced = (1.0 if words is None else OTHERS) * (lines != "\n")
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            here = lines.copy()
            at = np.flatnonzero(draw.random(len(here)) < replaced)
            here[at] = others[np.searchsorted(reach / reach[-1], draw.random(len(at)))]
            file.write(" ".join(here).replace(" \n ", "\n").replace(" \n", "\n"))


def _lines(path) -> np.ndarray:
    """The words of a text with line ends among them."""
    if path is None:
        return np.array([*["w"] * 20, "\n"] * 10_000, object)
    with path.open(encoding="utf-8") as file:
        return np.array([word for line in file if line.strip() for word in (*line.split(), "\n")], object)


def peak(folder: Path, *words: str) -> int:
    """Returns the most bytes of memory that a command had.

    Args:
        folder: Where what it prints, its caches and temporary files go.
        words: The command, without lm-jax.
    """
    command = [sys.executable, "-m", "lm_jax.cli.main", *words]
    with open(folder / "out", "w") as out:
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, *command],
            env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=out,
        )
    assert done.returncode == 0, (folder / "out").read_text()
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


def measured(folder: Path, names: list[str]) -> Iterator[tuple[str, int]]:
    """Yields commands with the bytes that they took for FOLDER/text.txt; the first encodes it."""
    for name in names:
        words = COMMANDS[name].split()
        yield COMMANDS[name], peak(folder, *words, "--data", f"{folder}/text.txt", "--run", f"{folder}/{name}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--words", type=Path, help="a text of real words")
    parser.add_argument("--only", nargs="*", default=list(COMMANDS), choices=list(COMMANDS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_text(folder / "text.txt", arguments.mib * MIB, arguments.words)
        size = (folder / "text.txt").stat().st_size
        for command, most in measured(folder, arguments.only):
            print(f"{command}: {most / MIB:,.0f} MiB, {most / size:.2f} times the text", flush=True)


if __name__ == "__main__":
    main()
