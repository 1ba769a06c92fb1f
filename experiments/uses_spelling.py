"""Spelling correction by a noisy channel: which word was meant, given the line it stands in?

    python experiments/uses_spelling.py             about 2 minutes on 2 CPU cores
    python experiments/uses_spelling.py --smoke     seconds; numbers mean nothing

    argmax over w of  P(observed | w) P(line with w)          (Shannon 1948; Kernighan, Church & Gale 1990)

Candidates w are the words of the training text that are one edit away from the observed one (a letter deleted,
inserted, exchanged for another, or swapped with its neighbour), and the observed word itself if it is one. The channel
is uniform: the word comes through with probability 1 - ERROR_RATE, otherwise as any string one edit away. P(line) is
that of a language model over characters (LSTM, 128 units) trained on the default corpus; the baseline has the same
channel and the word's relative frequency instead. On held-out lines that do not stand in the training text, one word
of each is changed by a random edit into no word (non-word errors), in a second pass into another word (real-word
errors), in a third left as it is (intact: to see how much the corrector spoils). The place of the word is given.

Expected: the language model beats the word frequencies, by more where there are more candidates; real-word errors
are the harder ones for both, and frequencies spoil more intact words. Writes uses_spelling.json into --out (default
experiments/results). A run that was interrupted goes on when the command is given again.
"""

import argparse
import json
import math
import platform
import re
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import lm_jax
from lm_jax.data.corpora import Texts, load_texts
from lm_jax.inference import line_sums, token_log_probs
from lm_jax.inference.minimal_pairs import accuracy


WORD = re.compile(r"\b[a-z]+\b")
SHORTEST = 3  # letters of a word that is changed
ERROR_RATE = 0.05  # of the channel
SEED = 0


class Trial(NamedTuple):
    """A line up to the word and after it, the word that was meant and the one observed."""

    before: str
    after: str
    intended: str
    observed: str


def edits(word: str) -> list[str]:
    """The strings one edit away, in alphabetical order."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    found = {a + b[1:] for a, b in cuts if b}
    found |= {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    found |= {a + letter + b[1:] for a, b in cuts if b for letter in string.ascii_lowercase}
    found |= {a + letter + b for a, b in cuts for letter in string.ascii_lowercase}
    return sorted(found - {word, ""})


def candidates(observed: str, counts: Counter) -> list[str]:
    """The known words that may have been meant."""
    return [word for word in [observed, *edits(observed)] if word in counts]


def channel(observed: str, word: str) -> float:
    """log P(observed | word)."""
    return math.log(1 - ERROR_RATE) if observed == word else math.log(ERROR_RATE / len(edits(word)))


def held_out_lines(texts: Texts) -> list[str]:
    """The different lines of the test text that the training text lacks."""
    known = {line.strip() for line in texts.train.split("\n")}
    return [line for line in dict.fromkeys(texts.test.split("\n")) if line.strip() not in known]


def make_trials(lines: list[str], choices: Callable[[str], list[str]], counts: Counter) -> list[Trial]:
    """One trial a line, where a known word of it has a choice of errors: a word at random, then an error at random."""
    generator, trials = np.random.default_rng(SEED), []
    for line in lines:
        words = [m for m in WORD.finditer(line) if m[0] in counts and len(m[0]) >= SHORTEST]
        words = [(match, errors) for match in words if (errors := choices(match[0]))]
        if words:
            match, errors = words[generator.integers(len(words))]
            observed = errors[generator.integers(len(errors))]
            trials.append(Trial(line[: match.start()], line[match.end() :], match[0], observed))
    return trials


def line_log_probs(run: lm_jax.Run, lines: list[str]) -> np.ndarray:
    """log P of each line alone, with its end; float64 [lines]."""
    eol_id = run.vocabulary.eol_id
    tokens = run.vocabulary.encode("".join(line + "\n" for line in lines))
    log_probs = token_log_probs(run.model, run.params, tokens, eol_id, eval_streams=64, mode="sentence")
    return line_sums(log_probs, tokens, eol_id)[0]


def correct(run: lm_jax.Run, trials: list[Trial], counts: Counter) -> dict[str, list[str]]:
    """The word that either kind of prior, with the channel, takes to be meant in each trial."""
    options = [candidates(trial.observed, counts) for trial in trials]
    lines = [t.before + word + t.after for t, words in zip(trials, options, strict=True) for word in words]
    scores = np.split(line_log_probs(run, lines), np.cumsum([len(words) for words in options])[:-1])
    total = math.log(counts.total())
    verdicts = {"language model": [], "word frequency": []}
    for trial, words, from_lines in zip(trials, options, scores, strict=True):
        from_channel = np.array([channel(trial.observed, word) for word in words])
        frequency = np.array([math.log(counts[word]) - total for word in words])
        verdicts["language model"].append(words[int(np.argmax(from_channel + from_lines))])
        verdicts["word frequency"].append(words[int(np.argmax(from_channel + frequency))])
    return verdicts


def judge(group: str, trials: list[Trial], verdicts: dict[str, list[str]], counts: Counter) -> list[dict]:
    """Rows of accuracy: over all trials of a group, and over those with a choice of candidates."""
    sizes = np.array([len(candidates(trial.observed, counts)) for trial in trials])
    rows = []
    for subset, chosen in (("all", sizes >= 1), ("several candidates", sizes > 1)):
        for kind, words in verdicts.items():
            right = np.array([word == trial.intended for word, trial in zip(words, trials, strict=True)])[chosen]
            if len(right):
                row = {
                    "group": group,
                    "trials": subset,
                    "kind": kind,
                    "candidates_per_trial": float(sizes[chosen].mean()),
                }
                rows.append(row | accuracy(np.where(right, 1.0, -1.0))._asdict())
    return rows


def train(folder: Path, smoke: bool) -> lm_jax.Run:
    """The model over characters, every line alone; started or continued. exposure_bias.py begins with the same."""
    print(f"language model: {folder}", flush=True)
    config = lm_jax.TrainConfig(
        model=lm_jax.ModelConfig(hidden_size=16 if smoke else 128, embedding_size=32),
        mode="sentence",
        steps=6 if smoke else None,
        seed=SEED,
    )
    run = lm_jax.resume(folder) if (folder / "config.json").exists() else lm_jax.train(config, folder)
    if run.results["stopped"]:
        raise SystemExit("stopped; the same command goes on")
    return run


def main() -> None:
    """Trains the model, corrects the held-out lines, writes the JSON, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/lines"))
    arguments = parser.parse_args()
    run = train(arguments.runs / ("smoke" if arguments.smoke else "full") / f"plain-{SEED}", arguments.smoke)
    texts = load_texts(None, "char")
    counts = Counter(WORD.findall(texts.train))
    lines = held_out_lines(texts)[: 20 if arguments.smoke else None]
    choices = {
        "non-word errors": lambda word: [e for e in edits(word) if e not in counts],
        "real-word errors": lambda word: [e for e in edits(word) if e in counts],
        "intact": lambda word: [word],
    }
    rows, examples = [], {}
    for group, errors in choices.items():
        trials = make_trials(lines, errors, counts)
        verdicts = correct(run, trials, counts)
        rows += judge(group, trials, verdicts, counts)
        examples[group] = [
            {**trial._asdict(), **dict(zip(verdicts, words, strict=True))}
            for trial, *words in list(zip(trials, *verdicts.values(), strict=True))[:10]
        ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = {
        "command": "python experiments/uses_spelling.py" + (" --smoke" if arguments.smoke else ""),
        "python": platform.python_version(),
        "corpus_sha256": texts.sha256,
        "seed": SEED,
        "error_rate": ERROR_RATE,
        "words": len(counts),
        "held_out_lines": len(lines),
        "model": {name: run.results[name] for name in ("parameters", "seconds", "best_step", "rows")},
        "results": rows,
        "examples": examples,
    }
    (arguments.out / "uses_spelling.json").write_text(json.dumps(record, indent=1) + "\n")
    for row in rows:
        print(
            f"{row['group']:<17} {row['trials']:<19} {row['kind']:<15} {row['accuracy']:.1%} "
            f"[{row['low']:.1%}, {row['high']:.1%}] of {row['pairs']}, {row['candidates_per_trial']:.1f} candidates each"
        )


if __name__ == "__main__":
    main()
