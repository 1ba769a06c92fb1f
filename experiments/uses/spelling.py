"""Spelling correction by a noisy channel: which word was meant, given the line it stands in?

    python experiments/uses/spelling.py     about 1 minute on 2 CPU cores

    argmax over w of  P(observed | w) P(line with w)          (Shannon 1948; Kernighan, Church & Gale 1990)

Candidates w are the words of the training text that are one edit away from the observed one (a letter deleted,
inserted, exchanged for another, or swapped with its neighbour), and the observed word itself if it is one. The channel
is uniform: the word comes through with probability 1 - error rate, otherwise as any string one edit away. P(line) is
that of a language model over characters (LSTM, 128 units) trained on the default corpus; the baseline has the same
channel and the word's relative frequency instead. On held-out lines that do not stand in the training text, every
known word of at least three letters is changed, one at a time, by a random edit into no word (non-word errors), then
into another word (real-word errors), then left as it is (intact: how much does the corrector spoil?). It is told
which word to look at, not whether that is an error. Where the observed word is no word, the error rate cancels.

Expected: non-word errors tell little: three in four have one candidate only, both priors correct about 95 % of them,
and the difference is within the intervals. Real-word errors are the hard ones, and there the line counts: the
language model corrects several times as many as word frequencies at the same error rate, and more at the same
share of intact words spoiled; yet most stay uncorrected.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from experiments.harness import Study
from experiments.harness.rows import only
from experiments.harness.runs import StudyRun, trained
from experiments.language_models.lines import held_out_lines, settings
from experiments.uses.spelling_findings import CERTAIN, INTACT, RATES, REAL, findings
from lm_jax.data.texts import load_texts
from lm_jax.inference import line_sums, token_log_probs
from lm_jax.inference.minimal_pairs import accuracy


STUDY = Study(__doc__, __file__, runs="lines")
WORD = re.compile(r"\b[a-z]+\b")
SHORTEST = 3  # letters of a word that is changed
SEED = 0


class Trial(NamedTuple):
    """A line up to the word and after it, the word that was meant and the one observed."""

    before: str
    after: str
    intended: str
    observed: str


@cache
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


def channel(observed: str, word: str, rate: float) -> float:
    """log P(observed | word)."""
    return math.log(1 - rate) if observed == word else math.log(rate / len(edits(word)))


def make_trials(lines: list[str], choices: Callable[[str], list[str]], counts: Counter) -> list[Trial]:
    """A trial for every known word of every line, its observed form drawn from the choices, if there are any."""
    generator, trials = np.random.default_rng(SEED), []
    for line in lines:
        for match in WORD.finditer(line):
            if match[0] in counts and len(match[0]) >= SHORTEST and (observed := choices(match[0])):
                word = observed[generator.integers(len(observed))]
                trials.append(Trial(line[: match.start()], line[match.end() :], match[0], word))
    return trials


def line_log_probs(run: StudyRun, lines: list[str]) -> np.ndarray:
    """log P of each line alone, with its end; float64 [lines]."""
    eol_id = run.vocabulary.eol_id
    tokens = run.vocabulary.encode("".join(line + "\n" for line in lines))
    log_probs = token_log_probs(run.model, run.params, tokens, eol_id, eval_streams=64, mode="sentence")
    return line_sums(log_probs, tokens, eol_id)[0]


def priors(run: StudyRun, trials: list[Trial], counts: Counter) -> dict[str, list[np.ndarray]]:
    """log P of every candidate of every trial, from the line it would stand in or from its frequency alone."""
    options = [candidates(trial.observed, counts) for trial in trials]
    lines = [t.before + word + t.after for t, words in zip(trials, options, strict=True) for word in words]
    ends = np.cumsum([len(words) for words in options])
    frequency = [np.log([counts[word] for word in words]) - math.log(counts.total()) for words in options]
    return {"language model": np.split(line_log_probs(run, lines), ends[:-1]), "word frequency": frequency}


def correct(trials: list[Trial], prior: list[np.ndarray], counts: Counter, rate: float) -> list[str]:
    """The word that is taken to be meant in each trial, for an error rate of the channel."""
    verdicts = []
    for trial, from_prior in zip(trials, prior, strict=True):
        words = candidates(trial.observed, counts)
        scores = from_prior + np.array([channel(trial.observed, word, rate) for word in words])
        verdicts.append(words[int(np.argmax(scores))])
    return verdicts


def judge(trials: list[Trial], verdicts: list[str]) -> dict:
    """The share of trials in which the verdict is the intended word."""
    right = [word == trial.intended for word, trial in zip(verdicts, trials, strict=True)]
    share = accuracy(np.where(right, 1.0, -1.0))
    return {"trials": share.pairs, "accuracy": share.accuracy, "interval": [share.low, share.high]}


def judge_all(run: StudyRun, groups: dict[str, list[Trial]], counts: Counter) -> tuple[list[dict], dict]:
    """A row for every group of trials, error rate and prior, and some examples of each group."""
    rows, examples = [], {}
    for group, trials in groups.items():
        sizes = np.array([len(candidates(trial.observed, counts)) for trial in trials])
        every_prior = priors(run, trials, counts)
        for rate in RATES if group != CERTAIN else (None,):
            verdicts = {kind: correct(trials, prior, counts, rate or RATES[0]) for kind, prior in every_prior.items()}
            facts = {"group": group, "error_rate": rate, "candidates_per_trial": float(sizes.mean())}
            rows += [facts | {"prior": kind} | judge(trials, words) for kind, words in verdicts.items()]
        if group == CERTAIN and (sizes > 1).any():
            several = np.flatnonzero(sizes > 1)
            facts |= {"group": f"{group}, several candidates", "candidates_per_trial": float(sizes[several].mean())}
            for kind, words in verdicts.items():
                rows.append(facts | {"prior": kind} | judge([trials[i] for i in several], [words[i] for i in several]))
        examples[group] = [
            {**trial._asdict(), **dict(zip(verdicts, words, strict=True)), "error_rate": rate}
            for trial, *words in list(zip(trials, *verdicts.values(), strict=True))[::100]
        ]
    return rows, examples


def run(arguments) -> dict:
    """Trains the model and corrects the held-out lines."""
    one = trained(settings(SEED, arguments.smoke), arguments.runs / f"plain-{SEED}")
    texts = load_texts(None, "char")
    counts = Counter(WORD.findall(texts.train))
    lines = held_out_lines(texts)[: 20 if arguments.smoke else None]
    choices = {
        CERTAIN: lambda word: [e for e in edits(word) if e not in counts],
        REAL: lambda word: [e for e in edits(word) if e in counts],
        INTACT: lambda word: [word],
    }
    groups = {group: make_trials(lines, errors, counts) for group, errors in choices.items()}
    rows, examples = judge_all(one, groups, counts)
    return {
        "corpus_sha256": texts.sha256,
        "seed": SEED,
        "words": len(counts),
        "held_out_lines": len(lines),
        "model": only(one.results, ("parameters", "seconds", "best_step", "rows")),
        "results": rows,
        "examples": examples,
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
