"""What does it cost a model to read its own text instead of the true one, and does scheduled sampling help?

    python experiments/language_models/exposure_bias.py     about 5 minutes on 2 CPU cores

Of every held-out line the first 20 characters are read as they are; then the model is let loose, and the true
characters are scored given the true past and given its own, by the number of own characters read
(lm_jax/inference/free_running.py). Two models, three seeds each, on the lines of the default corpus: an LSTM of 128
units under teacher forcing, and the same with a quarter of its inputs replaced by its own predictions (scheduled
sampling, Bengio et al. 2015). Two scales beside them: what the same model loses when, after the same beginning, it
reads another text of the corpus, which is not the true one either but is no text of its own; and the unigram model,
which reads nothing.

Expected: the loss given the own past leaves that given the true one at the first character and soon passes the
unigram's: a confident model with another past in mind is worse than none. Another text costs the plain model no less
than its own does, so the bias is not that its own text is bad; it is that it trusts a text that does not lead to the
true one. Scheduled sampling raises the loss given the true past and roughly halves the bias, and it halves the cost
of another text as well: it teaches the model to trust its past less (Huszar 2015 says why), and it stays above the
unigram model.
"""

import jax
import numpy as np

from experiments.harness import Study
from experiments.harness.rows import only
from experiments.harness.runs import StudyRun, trained
from experiments.language_models.exposure_bias_findings import RATES, findings
from experiments.language_models.lines import held_out_lines, settings
from lm_jax.data import Vocabulary, load_corpus
from lm_jax.data.texts import load_texts
from lm_jax.inference import FreeRunning, Sampler, free_running_loss


STUDY = Study(__doc__, __file__, runs="lines")
SEEDS = (0, 1, 2)
PREFIX = 20  # characters that are read before the model is let loose
SHORTEST = 40  # characters of a line that takes part
SAMPLES = 8  # continuations of a line


def encoded_lines(vocabulary: Vocabulary) -> list[np.ndarray]:
    """The long held-out lines; ids, each with its end."""
    lines = held_out_lines(load_texts(None, "char"))
    return [vocabulary.encode(line + "\n") for line in lines if len(line) >= SHORTEST]


def another_text(run: StudyRun, result: FreeRunning, lines: list[np.ndarray]) -> np.ndarray:
    """log P [T, B] of the lines when, after the first part, another line from there on and those after it are read.

    The lines are in random order; the carry is reset where one ends, as it is where the model ends its own line.
    """
    eol_id, length = run.vocabulary.eol_id, len(result.mask)
    order = np.random.default_rng(0).permutation(len(lines))
    targets, others = (np.full(result.mask.shape, eol_id, np.int32) for _ in range(2))
    for here, *next_ones in zip(order, *(np.roll(order, -k) for k in (1, 2, 3)), strict=True):
        targets[: len(lines[here]), here] = lines[here]
        others[:, here] = np.concatenate([lines[i] for i in next_ones])[:length]
    read = np.where(result.distance < 0, targets, others)
    inputs = np.concatenate([np.full_like(read[:1], eol_id), read[:-1]])
    carry = run.model.initial_carry(run.params, (len(lines),))
    return np.asarray(jax.jit(run.model.score)(run.params, carry, inputs, targets, reset=inputs == eol_id)[1])


def measure(run: StudyRun, lines: list[np.ndarray], samples: int) -> dict:
    """Losses of one model in nats per character, overall and by distance, with the standard error of the bias."""
    eol_id, key = run.vocabulary.eol_id, jax.random.key(0)
    options = {"eol_id": eol_id, "mode": "sentence"}
    sampled = free_running_loss(run.model, run.params, lines, PREFIX, key, num_samples=samples, **options)
    greedy = free_running_loss(run.model, run.params, lines, PREFIX, key, sampler=Sampler(greedy=True), **options)
    other = sampled._replace(given_own=another_text(run, sampled, lines)[:, None])
    true, own, count = sampled.by_distance()
    gaps = np.where(sampled.mask, sampled.given_true - sampled.given_own.mean(axis=1), 0.0).sum(axis=0)
    ends = (sampled.choices == eol_id) & sampled.mask[:, None] & np.roll(sampled.mask, -1, axis=0)[:, None]
    residuals = gaps - sampled.exposure_bias * sampled.mask.sum(axis=0)
    return {
        "teacher_forced": sampled.teacher_forced,
        "free_running": sampled.free_running,
        "exposure_bias": sampled.exposure_bias,
        "exposure_bias_error": float(np.sqrt(np.sum(residuals**2)) / sampled.tokens),  # over lines
        "free_running_greedy": greedy.free_running,
        "another_text": other.free_running,
        "ended_early": float(np.mean(ends.any(axis=0))),  # continuations that end before the true line
        "characters": sampled.tokens,
        "lines": len(lines),
        "by_distance": {
            "lines": count.tolist(),
            "teacher_forced": true.tolist(),
            "free_running": own.tolist(),
            "free_running_greedy": greedy.by_distance()[1].tolist(),
            "another_text": other.by_distance()[1].tolist(),
        },
    }


def unigram_loss(run: StudyRun, lines: list[np.ndarray]) -> float:
    """Cross-entropy of the second parts under add-one unigram probabilities of the training text."""
    train_tokens = load_corpus(vocabulary=run.vocabulary).train
    counts = np.bincount(train_tokens, minlength=len(run.vocabulary)) + 1.0
    return -float(np.mean(np.log(counts / counts.sum())[np.concatenate([line[PREFIX:] for line in lines])]))


def run(arguments) -> dict:
    """Trains and measures every model."""
    samples, results = 2 if arguments.smoke else SAMPLES, []
    for kind, rate in RATES.items():
        for seed in SEEDS[: 1 if arguments.smoke else None]:
            folder = arguments.runs / f"{kind.replace(' ', '-')}-{seed}"
            one = trained(settings(seed, arguments.smoke, rate), folder)
            lines = encoded_lines(one.vocabulary)
            facts = only(one.results, ("parameters", "seconds", "best_step"))
            facts |= {"kind": kind, "rate": rate, "seed": seed, "test": one.results["rows"][-1]}
            results.append(facts | measure(one, lines, samples))
    return {
        "corpus_sha256": load_corpus().sha256,
        "prefix": PREFIX,
        "samples": samples,
        "unigram": unigram_loss(one, lines),
        "results": results,
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
