"""How much noise may there be in speech, for a decoder with attention and for CTC over the same encoder?

    python experiments/tasks/speech.py     4 minutes of processor time, 20 on a busy machine

Strings of one to six digits, spoken by voices made of tones and noise (spoken_digits.py), as log-mel features, go
through one bidirectional network, stacked four frames in one. Two outputs read it, trained together in noise of -15 to
20 dB: a conditional language model with additive attention, and a softmax with a blank at every step (connectionist
temporal classification). Both are asked for the same test strings in the same noise. The signal-to-noise ratio is that
of the whole string, pauses included; the noise is white. An error is a digit changed, left out or put in, and the rate
is over the digits that were spoken: who never answers has 100 %. How both are trained is one file, speech_task.py.

Expected: below 2 % of errors for both from 5 dB upwards, since a mel band averages over the noise, and half of the
digits wrong near -10 dB. In quiet the two are within a point of each other. In loud noise CTC leaves digits out, as a
blank is its safe answer, while attention goes on to write likely strings of wrong digits. Attention reads each digit
where it is spoken.
"""

import argparse
from typing import Any

import numpy as np

import lm_jax
from experiments.harness import Study, integer
from experiments.harness.rows import where
from experiments.harness.runs import lines_of, trained
from experiments.tasks.speech_findings import ATTENTION, CTC, findings
from experiments.tasks.speech_task import END, FEATURES, SPEECH, Recogniser, SpeechConfig, features
from experiments.tasks.spoken_digits import RATE, Strings, draw_strings, with_noise
from lm_jax.inference.edit_distance import count_edits
from lm_jax.inference.translation import alignment
from lm_jax.tasks import TASKS
from lm_jax.training import Validation


STUDY = Study(__doc__, __file__, {"--seed": integer(0)})
LEVELS = (-15, -10, -5, 0, 5, 10, 15, 20)  # signal-to-noise ratios, in dB
SEARCHES = {
    "attention, greedy": lambda asked, sources: asked.by_attention(sources, 1),
    "attention, beam 5": lambda asked, sources: asked.by_attention(sources, 5),
    "CTC, best path": lambda asked, sources: asked.by_ctc(sources),
    "CTC, beam 8": lambda asked, sources: asked.by_ctc(sources, 8),
}
SMOKE = {"strings": 16, "hidden_size": 8, "steps": 4, "log_every": 2}
DRAWN = 10  # the level of the picture of attention, in dB
RESAMPLES = 1000


class Progress(lm_jax.Listener):
    """Prints one line a validation."""

    def on_validation(self, validation: Validation) -> None:
        """Prints the error rates."""
        print(f"  step {validation.step:,}: {validation.score.words}", flush=True)


def settings(arguments: argparse.Namespace) -> SpeechConfig:
    """Of the one recogniser."""
    return SpeechConfig(seed=arguments.seed, **(SMOKE if arguments.smoke else {"epochs": 15, "log_every": 25}))


def measure(asked: Recogniser, test: Strings, levels) -> list[dict[str, Any]]:
    """The errors of every search at every level, and how both outputs differ, with 95 % of resampled strings."""
    lengths, rows = np.array([len(digits) for digits in test.digits]), []
    resampled = np.random.default_rng(5).integers(0, len(lengths), (RESAMPLES, len(lengths)))
    for level in levels:
        sources = features(test.signals, np.full(len(lengths), level), np.random.default_rng(100 + level))
        distances = {}
        for name, search in SEARCHES.items():
            pairs = zip(test.digits, search(asked, sources), strict=True)
            edits = np.array([count_edits(digits, found) for digits, found in pairs])
            distances[name] = edits.sum(axis=1)
            kinds = ("changed", "left out", "put in")
            shares = dict(zip(kinds, (edits.sum(axis=0) / lengths.sum()).tolist(), strict=True))
            rows.append({"dB": level, "search": name, **rate_of(distances[name], lengths, resampled), **shares})
        difference = distances[ATTENTION] - distances[CTC]
        rows.append({"dB": level, "search": "attention less CTC", **rate_of(difference, lengths, resampled)})
        found = [f"{row['search']} {row['error rate']:.1%}" for row in where(rows, dB=level)]
        print(f"  {level} dB: {', '.join(found)}", flush=True)
    return rows


def rate_of(edits: np.ndarray, lengths: np.ndarray, resampled: np.ndarray) -> dict[str, float]:
    """Edits over digits, and the middle 95 % of the same over resampled strings."""
    rates = edits[resampled].sum(axis=1) / lengths[resampled].sum(axis=1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return {"error rate": float(edits.sum() / lengths.sum()), "low": float(low), "high": float(high)}


def weights_of(asked: Recogniser, source: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """The weights of attention [L, S'] while a string is written."""
    target = np.append(digits + 1, END)
    return alignment(asked.model.translator, asked.params.translator, source, target, END)[:-1]


def read_in_place(asked: Recogniser, test: Strings, stack: int) -> float:
    """The share of digits whose largest weight lies in their own word, or one step of the encoder beside it, at the
    highest level."""
    level = max(LEVELS)
    sources = features(test.signals, np.full(len(test.signals), level), np.random.default_rng(100 + level))
    step, inside = stack * FEATURES.hop / RATE, []
    for source, digits, words in zip(sources, test.digits, test.words, strict=True):
        peaks = weights_of(asked, source, digits).argmax(axis=1) * step + 0.5 * (step + FEATURES.frame / RATE)
        inside += ((peaks >= words[:, 0] - step) & (peaks <= words[:, 1] + step)).tolist()
    return float(np.mean(inside))


def example_of(asked: Recogniser, test: Strings, stack: int) -> dict[str, Any]:
    """The features of a test string, and the weights of attention as each of its digits was written."""
    chosen = max(range(len(test.digits)), key=lambda k: len(set(test.digits[k].tolist())))
    signal, digits, words = test.signals[chosen], test.digits[chosen], test.words[chosen]
    (source,) = features([signal], np.array([DRAWN]), np.random.default_rng(DRAWN))
    heard = FEATURES.extract(with_noise(signal, DRAWN, np.random.default_rng(DRAWN)))  # the same noise
    return {
        "dB": DRAWN,
        "digits": digits,
        "words": words,
        "hop": FEATURES.hop / RATE,
        "half_frame": FEATURES.frame / RATE / 2,
        "stack": stack,
        "centres": np.round(FEATURES.centres, 1),
        "heard": np.round(np.asarray(heard), 2),
        "weights": np.round(weights_of(asked, source, digits), 4),
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains the recogniser, and asks both of its outputs."""
    TASKS[SpeechConfig.task] = SPEECH  # so that a run folder can name it
    config = settings(arguments)
    trained_run = trained(config, arguments.runs / f"speech-{arguments.seed}", Progress())
    asked, stack = Recogniser(trained_run.model, trained_run.params), config.stack
    levels = (-15, 20) if arguments.smoke else LEVELS
    test = draw_strings(4 if arguments.smoke else 300, 3)
    rows, share = measure(asked, test, levels), read_in_place(asked, test, stack)
    return {
        "strings": len(test.digits),
        "digits": sum(map(len, test.digits)),
        "seed": arguments.seed,
        "rows": rows,
        "read in place": share,
        "example": example_of(asked, test, stack),
        "parameters": trained_run.results["parameters"],
        "seconds of training on a busy machine": trained_run.results["seconds"],
        "validation": [line for line in lines_of(trained_run.folder) if "valid_loss" in line],
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
