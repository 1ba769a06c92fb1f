"""Who wrote this? One small language model an author; a passage belongs to the one that finds it most probable.

    python experiments/uses/authorship.py                 about 2 minutes on 2 CPU cores
    python experiments/uses/authorship.py --data FOLDER   texts of your own, one .txt an author

Six "authors" are six parts of Python's standard library, written by different people: the prose of their docstrings
and comments, without doctests, names of people and repeated lines. A package is a subject as well as a hand, so this
measures both. Every author has equally many characters to learn from, and equally many held-out passages; blocks of
text are divided at random, and a held-out line that stands in anyone's training text is dropped. Characters are
bytes, so that all models share one vocabulary.

Expected: the models (GRU, 128 units) beat the baseline, add-one unigrams over the same bytes, at every length of the
passage; both gain with length.
"""

from pathlib import Path

import numpy as np

from experiments.harness import Study
from experiments.harness.rows import only
from experiments.harness.runs import trained
from experiments.uses.authorship_findings import LENGTHS, findings
from experiments.uses.prose import divide, folder_blocks, head, library_blocks
from lm_jax.config import DataConfig, TrainConfig, from_flat
from lm_jax.data import Streams
from lm_jax.inference import score_streams
from lm_jax.inference.minimal_pairs import accuracy


OPTIONS = {"--data": {"type": Path, "help": "a folder with one .txt an author"}}
STUDY = Study(__doc__, __file__, OPTIONS)
EOL = 10  # the newline, at byte level
AUTHORS = ("asyncio", "_pydecimal", "email", "idlelib", "logging", "tkinter")
SEED = 0


def prepare(blocks: dict[str, list[str]], texts: Path) -> tuple[dict[str, bytes], dict[str, list[str]], dict]:
    """Writes every author's texts; returns the training texts, the held-out lines, and counts of what was dropped."""
    divided = {author: divide(own, np.random.default_rng(SEED)) for author, own in blocks.items()}
    size = min(sum(len(line.encode()) + 1 for line in parts[0]) for parts in divided.values())
    divided = {author: (head(train, size), valid, test) for author, (train, valid, test) in divided.items()}
    known = {line for train, valid, _ in divided.values() for line in (*train, *valid)}
    training, held_out, facts = {}, {}, {}
    for author, (train, valid, test) in divided.items():
        held_out[author] = [line for line in test if line not in known]
        folder = texts / author
        folder.mkdir(parents=True, exist_ok=True)
        for split, lines in (("train", train), ("valid", valid), ("test", held_out[author])):
            (folder / f"{split}.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        training[author] = (folder / "train.txt").read_bytes()
        facts[author] = {
            "train_bytes": len(training[author]),
            "held_out_lines": len(held_out[author]),
            "held_out_lines_dropped": len(test) - len(held_out[author]),
        }
    return training, held_out, facts


def passages(held_out: dict[str, list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint passages of the longest length, each from the start of a line, equally many an author.

    Returns their bytes [characters, passages] and the number of the author of each [passages].
    """
    found = []
    for lines in held_out.values():
        own, text = [], b""
        for line in lines:
            text += line.encode() + b"\n"
            if len(text) >= LENGTHS[-1]:
                own.append(np.frombuffer(text[: LENGTHS[-1]], np.uint8))
                text = b""
        found.append(own)
    count = min(map(len, found), default=0)
    if len(found) < 2 or count == 0:
        raise SystemExit(f"two authors of {LENGTHS[-1]} held-out characters each are needed, got {len(found)} authors")
    chosen = np.stack([passage for own in found for passage in own[:count]], axis=1).astype(np.int32)
    return chosen, np.repeat(np.arange(len(found)), count)


def settings(texts: Path, smoke: bool) -> TrainConfig:
    """One author's model."""
    network = {"cell": "gru", "recurrence": "scan", "dropout": 0.3}
    network |= {"hidden_size": 8 if smoke else 128, "embedding_size": 32}
    training = {"batch_size": 16, "bptt": 64, "learning_rate": 5e-3, "epochs": 20, "seed": SEED}
    training |= {"steps": 3 if smoke else None}
    return from_flat(TrainConfig, network | training, TrainConfig(data=DataConfig(str(texts), "byte")))


def score_all(runs: Path, training: dict[str, bytes], chosen: np.ndarray, facts: dict, smoke: bool) -> dict:
    """Log-probabilities [authors, characters, passages] of all passages under every author's model, of either kind."""
    tokens = np.pad(chosen, ((1, 0), (0, 0)), constant_values=EOL)
    streams = Streams(tokens, np.full(chosen.shape[1], len(chosen), np.int32))
    models, unigrams = [], []
    for author, text in training.items():
        run = trained(settings(runs / "texts" / author, smoke), runs / author)
        models.append(score_streams(run.model, run.params, streams, EOL))
        counts = np.bincount(np.frombuffer(text, np.uint8), minlength=len(run.vocabulary))
        unigrams.append(np.log((counts + 1) / (counts.sum() + len(counts)))[chosen])
        facts[author] |= only(run.results, ("parameters", "seconds", "best_step"))
        facts[author]["test"] = run.results["rows"][-3:]
    return {"language model": np.stack(models), "unigram": np.stack(unigrams)}


def judge(log_probs: dict[str, np.ndarray], truth: np.ndarray) -> tuple[list[dict], dict[str, list[float]]]:
    """A row for either kind and length, with the confusion of authors; and accuracy after 1, 2, ... characters."""
    rows, curves = [], {}
    for kind, values in log_probs.items():
        verdicts = np.argmax(np.cumsum(values, axis=1, dtype=np.float64), axis=0)  # [characters, passages]
        curves[kind] = np.mean(verdicts == truth, axis=1).tolist()
        for length in LENGTHS:
            verdict = verdicts[length - 1]
            confusion = np.zeros((len(values), len(values)), int)
            np.add.at(confusion, (truth, verdict), 1)
            share = accuracy(np.where(verdict == truth, 1.0, -1.0))
            row = {"kind": kind, "characters": length, "passages": share.pairs, "accuracy": share.accuracy}
            rows.append(row | {"interval": [share.low, share.high], "confusion": confusion.tolist()})
    return rows, curves


def run(arguments) -> dict:
    """Trains a model an author and judges the held-out passages."""
    runs = arguments.runs / (arguments.data.name if arguments.data else "library")
    authors = AUTHORS[: 2 if arguments.smoke else None]
    blocks = folder_blocks(arguments.data) if arguments.data else library_blocks(authors)
    training, held_out, facts = prepare(blocks, runs / "texts")
    chosen, truth = passages(held_out)
    rows, curves = judge(score_all(runs, training, chosen, facts, arguments.smoke), truth)
    return {"seed": SEED, "authors": facts, "results": rows, "accuracy_by_characters": curves}


if __name__ == "__main__":
    STUDY.main(run, findings)
