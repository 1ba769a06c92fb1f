"""Who wrote this? One small language model an author; a passage belongs to the one that finds it most probable.

    python experiments/uses_authorship.py                 about 2 minutes on 2 CPU cores
    python experiments/uses_authorship.py --smoke         seconds; numbers mean nothing
    python experiments/uses_authorship.py --data FOLDER   texts of your own, one .txt an author

Six "authors" are six parts of Python's standard library, written by different people: the prose of their docstrings
and comments, without doctests, names of people and repeated lines. A package is a subject as well as a hand, so this
measures both. Every author has equally many characters to learn from, and equally many held-out passages; blocks of
text are divided at random, and a held-out line that stands in anyone's training text is dropped. Characters are
bytes, so that all models share one vocabulary.

Expected: the models (GRU, 128 units) beat the baseline, add-one unigrams over the same bytes, at every length of the
passage; both gain with length. Writes uses_authorship.json and .png into --out (default experiments/results). A run
that was interrupted goes on where it was when the command is given again.
"""

import argparse
import ast
import doctest
import io
import json
import platform
import re
import sysconfig
import tokenize
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import lm_jax
from lm_jax.data import Streams
from lm_jax.inference import score_streams
from lm_jax.inference.minimal_pairs import accuracy


EOL = 10  # the newline, at byte level
AUTHORS = ("asyncio", "_pydecimal", "email", "idlelib", "logging", "tkinter")
NOT_PROSE = re.compile(r"copyright|licen[cs]e|author|@\w+\.", re.IGNORECASE)
SHARES = (0.7, 0.1)  # of the characters, for training and validation; the others are held out
LENGTHS = (50, 100, 200)  # characters of a passage; the shorter ones are the beginnings of the longer
COLOURS = {"language model": "#D55E00", "unigram": "#0072B2"}  # Okabe & Ito
SEED = 0


def prose_blocks(path: Path) -> list[str]:
    """The docstrings and the comments of a Python file, without doctests."""
    source = path.read_text(encoding="utf-8")
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    blocks = [without_doctests(ast.get_docstring(node) or "") for node in nodes]
    last_row = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line = token.string.lstrip("#").strip()
            if last_row == token.start[0] - 1:
                blocks[-1] += "\n" + line
            else:
                blocks.append(line)
            last_row = token.start[0]
    return blocks


def without_doctests(text: str) -> str:
    """What stands between the examples."""
    try:
        parts = doctest.DocTestParser().parse(text)
    except ValueError:  # not a well-formed doctest: code all the same
        return ""
    return "".join(part for part in parts if isinstance(part, str))


def library_blocks(authors: Iterable[str]) -> dict[str, list[str]]:
    """The blocks of prose of every author, from the running Python's own library."""
    library = Path(sysconfig.get_paths()["stdlib"])
    blocks = {}
    for author in authors:
        file = library / f"{author}.py"
        files = [file] if file.is_file() else sorted((library / author).rglob("*.py"))
        files = [path for path in files if not {"test", "tests", "idle_test"} & set(path.parts)]
        if files:  # some systems package a part of the library apart
            blocks[author.lstrip("_")] = [block for path in files for block in prose_blocks(path)]
    return blocks


def folder_blocks(folder: Path) -> dict[str, list[str]]:
    """The paragraphs of every author: one text file each."""
    return {f.stem: f.read_text(encoding="utf-8").split("\n\n") for f in sorted(folder.glob("*.txt"))}


def divide(blocks: list[str], generator: np.random.Generator) -> list[list[str]]:
    """Lines for training, validation and testing: whole blocks in random order, every line once."""
    seen, cleaned = set(), []
    for block in blocks:
        lines = [line.strip() for line in block.split("\n")]
        lines = [line for line in lines if re.search("[A-Za-z]{2}", line) and not NOT_PROSE.search(line)]
        cleaned.append([line for line in lines if not (line in seen or seen.add(line))])
    cleaned = [cleaned[i] for i in generator.permutation(len(cleaned))]
    sizes = np.cumsum([sum(len(line) + 1 for line in block) for block in cleaned])
    cuts = np.searchsorted(sizes, sizes[-1] * np.cumsum(SHARES))
    parts = (cleaned[: cuts[0]], cleaned[cuts[0] : cuts[1]], cleaned[cuts[1] :])
    return [[line for block in part for line in block] for part in parts]


def head(lines: list[str], size: int) -> list[str]:
    """As many of the first lines as have at most `size` bytes."""
    return lines[: int(np.searchsorted(np.cumsum([len(line.encode()) + 1 for line in lines]), size, side="right"))]


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
        raise SystemExit(
            f"two authors with {LENGTHS[-1]} held-out characters each are needed, got {len(found)} authors"
        )
    return np.stack([p for own in found for p in own[:count]], axis=1).astype(np.int32), np.repeat(
        np.arange(len(found)), count
    )


def train(author: str, texts: Path, folder: Path, smoke: bool) -> lm_jax.Run:
    """One author's model, started, continued, or loaded if it is finished."""
    print(f"{author}: {folder}", flush=True)
    config = lm_jax.TrainConfig(
        data=lm_jax.DataConfig(data=str(texts), level="byte"),
        model=lm_jax.ModelConfig(
            cell="gru", recurrence="scan", hidden_size=8 if smoke else 128, embedding_size=32, dropout=0.3
        ),
        batch_size=16,
        epochs=20,
        steps=3 if smoke else None,
        seed=SEED,
    )
    done = folder / "results.json"
    if done.exists() and not (results := json.loads(done.read_text()))["stopped"]:
        trained = lm_jax.load(folder)
        return lm_jax.Run(folder, trained.model, trained.params, trained.vocabulary, results)
    run = lm_jax.resume(folder) if (folder / "config.json").exists() else lm_jax.train(config, folder)
    if run.results["stopped"]:
        raise SystemExit("stopped; the same command goes on")
    return run


def score_all(
    runs: Path, training: dict[str, bytes], chosen: np.ndarray, facts: dict, smoke: bool
) -> dict[str, np.ndarray]:
    """Log-probabilities [authors, characters, passages] of all passages under every author's model, of either kind."""
    streams = Streams(
        np.pad(chosen, ((1, 0), (0, 0)), constant_values=EOL), np.full(chosen.shape[1], len(chosen), np.int32)
    )
    models, unigrams = [], []
    for author, text in training.items():
        run = train(author, runs / "texts" / author, runs / author, smoke)
        models.append(score_streams(run.model, run.params, streams, EOL))
        counts = np.bincount(np.frombuffer(text, np.uint8), minlength=len(run.vocabulary))
        unigrams.append(np.log((counts + 1) / (counts.sum() + len(counts)))[chosen])
        facts[author] |= {name: run.results[name] for name in ("parameters", "seconds", "best_step")}
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


def draw(curves: dict[str, list[float]], rows: list[dict], authors: int, path: Path) -> None:
    """Accuracy against the length of the passage, with 95 % intervals at the three lengths."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for kind, values in curves.items():
        axes.plot(np.arange(1, len(values) + 1), values, color=COLOURS[kind])
        axes.annotate(f" {kind}", (len(values), values[-1]), color=COLOURS[kind], va="center", annotation_clip=False)
        for row in (r for r in rows if r["kind"] == kind):
            axes.plot([row["characters"]] * 2, row["interval"], color=COLOURS[kind], linewidth=4, alpha=0.4)
    axes.axhline(1 / authors, color="0.5", linestyle=":")
    axes.annotate("chance", (LENGTHS[-1], 1 / authors), color="0.4", ha="right", va="bottom")
    axes.set_xlabel("length of the passage (characters)")
    axes.set_ylabel("share of passages given to their author")
    axes.set_title(f"Telling apart {authors} authors: {rows[0]['passages']} held-out passages", loc="left")
    axes.set_xlim(0, 1.3 * LENGTHS[-1])
    axes.set_xticks([0, *LENGTHS])
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Trains a model an author, judges the held-out passages, writes the JSON and the figure, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--data", type=Path, help="a folder with one .txt an author")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/uses_authorship"))
    arguments = parser.parse_args()
    runs = (
        arguments.runs
        / ("smoke" if arguments.smoke else "full")
        / (arguments.data.name if arguments.data else "library")
    )
    blocks = (
        library_blocks(AUTHORS[: 2 if arguments.smoke else None])
        if arguments.data is None
        else folder_blocks(arguments.data)
    )
    training, held_out, facts = prepare(blocks, runs / "texts")
    chosen, truth = passages(held_out)
    rows, curves = judge(score_all(runs, training, chosen, facts, arguments.smoke), truth)
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = (" --smoke" if arguments.smoke else "") + (f" --data {arguments.data}" if arguments.data else "")
    record = {
        "command": "python experiments/uses_authorship.py" + options,
        "python": platform.python_version(),
        "seed": SEED,
        "authors": facts,
        "results": rows,
        "accuracy_by_characters": curves,
    }
    (arguments.out / "uses_authorship.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(curves, rows, len(facts), arguments.out / "uses_authorship.png")
    for row in rows:
        print(
            f"{row['characters']:>4} characters, {row['kind']:<14} {row['accuracy']:.1%} "
            f"[{row['interval'][0]:.1%}, {row['interval'][1]:.1%}] of {row['passages']} passages"
        )


if __name__ == "__main__":
    main()
