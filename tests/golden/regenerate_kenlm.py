"""Writes kenlm_scores.json and two ARPA files beside itself: KenLM's models of a small text, and its scores.

    python regenerate_kenlm.py PATH/TO/lmplz

Run by hand, with the module `kenlm` installed and lmplz built; no test imports it. The text is a random walk over
invented words. Its last new word occurs once: KenLM takes the occurrences of the last word for the number of words
before it when it counts counts, and this way both are 1. kenlm_scores.json has `text` and `other` (lists of lines),
and for each model the log10 of the probability of every word of `other` and of the end of its line.

    kenlm_trigram.arpa          lmplz -o 3
    kenlm_trigram_pruned.arpa   lmplz -o 3 --prune 0 1 2
"""

import json
import subprocess
import sys
from pathlib import Path

import kenlm
import numpy as np


HERE = Path(__file__).parent
MODELS = {"kenlm_trigram": [], "kenlm_trigram_pruned": ["--prune", "0", "1", "2"]}
WORDS = 150
STOP = 0.12  # a line ends after a word


def walk(generator, successors, lines):
    """Lines of words, some of them blank."""
    for _ in range(lines):
        word, line = int(generator.integers(8)), []
        while generator.random() > STOP:
            line.append(f"w{word}")
            word = int(successors[word][min(generator.geometric(0.4) - 1, 5)])
        yield " ".join(line)


def main():
    """Writes the files."""
    generator = np.random.default_rng(0)
    popular = 1 / np.arange(1, WORDS + 1)
    successors = [generator.choice(WORDS, 6, p=popular / popular.sum()) for _ in range(WORDS)]
    text = [*walk(generator, successors, 400), "w0 last"]
    other = list(walk(generator, successors, 60))
    words = [line.split() for line in other]
    for line in words[::3]:
        line.insert(len(line) // 2, "never")
    for line in words[1::3]:
        line[::2] = [f"w{generator.integers(WORDS)}" for _ in line[::2]]
    other = [" ".join(line) for line in words]
    record = {"text": text, "other": other}
    for name, options in MODELS.items():
        path = HERE / f"{name}.arpa"
        command = [sys.argv[1], "-o", "3", "-S", "100M", *options]
        result = subprocess.run(command, input="\n".join(text) + "\n", capture_output=True, text=True, check=True)
        path.write_text(result.stdout)
        model = kenlm.Model(str(path))
        record[name] = [[score for score, _, _ in model.full_scores(line)] for line in other]
    (HERE / "kenlm_scores.json").write_text(json.dumps(record, indent=0) + "\n")


if __name__ == "__main__":
    main()
