"""What is each architecture worth as a language model: bits, time of training and of generation, memory of the carry?

    python experiments/recurrences/language.py                     about 8 minutes on 1 CPU core
    python experiments/recurrences/language.py --data FILE         another text, added to the record: tiny Shakespeare
    python experiments/recurrences/language.py --data FOLDER --level word   WikiText-2: hours
    python experiments/recurrences/language.py lstm attention      some of the networks

Networks of two residual blocks, each around one cell, and a Transformer of two layers that reaches 128 tokens back in
each, all of about 60,000 parameters (by word 3 million, and the 10,000 most frequent words), learn from 1,500 steps of
16 streams of 64 tokens, by Adam with one learning rate for all. Every 150 steps the validation text is scored. The
speed is that of the fastest 150 steps, and of the fastest of three texts of 256 tokens generated one by one, so that
other work on the machine counts little; the time of a score is its number of steps at that speed. The bits at equal
time are those at the latest score that every network has reached by the end of the fastest one.

Expected: at equal parameters the bits of all but the RNN are within 10 % of each other, and the RNN is behind GRU and
LSTM. At equal time on a CPU, GRU and LSTM are in the better half: their loop is fused, and chunks, prefixes and caches
cost more there. Attention has the largest carry by far, and generates slowest.
"""

import argparse
import functools
import time
from typing import Any

import jax
import numpy as np

from experiments.harness import Study, integer
from experiments.harness.rows import Record
from experiments.harness.stages import states
from experiments.harness.timing import timed
from experiments.recurrences.architectures import OPTION, carry_bytes, chosen, parameters, state_size
from experiments.recurrences.language_findings import findings
from experiments.recurrences.reading import corpus_of, set_up_network, text_name
from lm_jax.data import Corpus
from lm_jax.inference import generate, likelihood
from lm_jax.models import LanguageModel
from lm_jax.report.study import remember
from lm_jax.types import Params


WANTED = {"char": 60_000, "word": 3_000_000}  # parameters
MOST_WORDS = 10_000
CONTEXT, STEPS, EVERY, GENERATED = 128, 1500, 150, 256
TRAINING = {"batch_size": 16, "bptt": 64}
STUDY = Study(
    __doc__,
    __file__,
    {
        "networks": OPTION,
        "--seeds": integer(1),
        "--data": {"help": "text file or folder, if not the default text; added to the record of --out"},
        "--level": {"choices": list(WANTED), "default": "char", "help": "unit of a token"},
    },
)


def speed_of_generation(model: LanguageModel, params: Params, eol_id: int, tokens: int) -> float:
    """Tokens a second, one after the other, of one text."""

    def draw():
        return generate(model, params, np.zeros(0, np.int32), tokens, jax.random.key(0), eol_id=eol_id)

    return tokens / min(timed(draw)[0] for _ in range(4))  # the first compiles


def measure(name: str, seed: int, corpus: Corpus, level: str, smoke: bool) -> dict[str, Any]:
    """Trains one network, and measures what it costs."""
    steps, every, wanted, generated = (4, 2, 6000, 8) if smoke else (STEPS, EVERY, WANTED[level], GENERATED)
    setup = set_up_network(name, corpus, wanted, CONTEXT, {**TRAINING, "seed": seed, "steps": steps})
    valid, eol_id = corpus.valid[: 500 if smoke else None], corpus.vocabulary.eol_id
    a_token = corpus.characters["valid"] / len(corpus.valid)  # characters: bits by word and by character compare
    history, fastest, last, params = [], float("inf"), 0, None
    started = time.perf_counter()
    for step, params in states(setup, (1, *range(every, steps + 1, every))):
        jax.block_until_ready(params)
        if last:  # the first step compiles
            fastest = min(fastest, (time.perf_counter() - started) / (step - last))
            score = likelihood(setup.model, params, valid, eol_id)
            history.append([step, score.cross_entropy / np.log(2) / a_token])
        last, started = step, time.perf_counter()
    tokens = TRAINING["batch_size"] * TRAINING["bptt"]
    return {
        "parameters": parameters(setup.model),
        "state": state_size(setup.model),
        "carry_bytes": carry_bytes(setup.model),
        "seconds_a_step": fastest,
        "trained": tokens / fastest,
        "generated": speed_of_generation(setup.model, params, eol_id, generated),
        "history": history,
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains and measures every network, and keeps what the record has of other texts."""
    names, seeds = chosen(arguments.networks, arguments.smoke), 1 if arguments.smoke else arguments.seeds
    text = text_name(arguments.data, arguments.level)
    corpus = corpus_of(arguments.data, arguments.level, MOST_WORDS if arguments.level == "word" else None)
    measured: list[Record] = []
    for name in names:
        for seed in range(seeds):
            print(f"{text}: {name}, seed {seed}", flush=True)
            path = arguments.runs / text.replace(" ", "-") / f"{name}-{seed}.json"
            found = remember(path, functools.partial(measure, name, seed, corpus, arguments.level, arguments.smoke))
            measured.append({"text": text, "network": name, "seed": seed, **found})
        jax.clear_caches()  # compiled programs of one network are of no use to the next
    others = [one for one in STUDY.recorded(arguments.out).get("measured", []) if one["text"] != text]
    return {"measured": [*others, *measured]}


if __name__ == "__main__":
    STUDY.main(run, findings)
