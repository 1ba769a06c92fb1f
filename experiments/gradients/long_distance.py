"""Can a model still predict "tickets" when n words stand between the two mentions?

    python experiments/gradients/long_distance.py     about 10 minutes on 2 CPU cores

Networks learn a corpus of sentences and of stories, "anna tried to print her tickets ... then printed her tickets",
with 3 to 29 words between the mentions. They are asked for the last word at other distances, up to 100
words, and of two kinds of nouns: known from such stories, and new to them, though known from other sentences and
repeated there after three words. Right is the most probable of the nouns. Beside it the gradient horizon of each
network (lm_jax/analysis/lag_profile.py): the smallest lag at which the median gradient is below 10 % and 1 % of that at
lag 0 by h, at lag 1 by the whole carry, over all words of long stories and for the last word alone.

The same cells on three problems without words, trained anew for each delay: adding (Hochreiter & Schmidhuber 1997;
share of variance explained), copy (five symbols after a delay) and delayed echo (each symbol, a delay later).

Expected: within the distances trained on gated cells are right and the simple RNN falls with distance; beyond them
all fall, the RNN first; the order is that of the gradient horizons. Nouns new to the stories are harder for all.
"""

import functools
import random

import jax
import numpy as np

from experiments.gradients.long_distance_problems import solve_all
from experiments.gradients.long_distance_report import findings
from experiments.gradients.long_distance_stories import ASKED, CHANCE, KNOWN, NEW, TRAINED, story, write_stories
from experiments.harness import Study, integer
from experiments.harness.runs import trained
from experiments.harness.sentences import ids_of
from lm_jax.analysis import gradient_flow, lag_profile
from lm_jax.config import CELLS, DataConfig, TrainConfig, from_flat
from lm_jax.report.study import remember


STUDY = Study(__doc__, __file__, {"--seeds": integer(3, "networks of each kind")})
LEAVES = ("h", "carry")  # gradients by h against lag 0, by the whole carry against lag 1
DELAYS = (4, 12, 36)


def settings(name, data, seed, smoke):
    """The configuration of a network."""
    size = {"hidden_size": 16, "embedding_size": 8} if smoke else {"hidden_size": 64, "embedding_size": 64}
    training = {"learning_rate": 7e-3, "mode": "sentence", "batch_size": 64, "epochs": 14, "dropout": 0.0, "seed": seed}
    training["bptt"] = 48  # chunks are cut anywhere: long ones seldom part the two mentions
    length = {"steps": 5, "eval_every": 5} if smoke else {}
    network = {"cell": name, "recurrence": "scan"}
    return from_flat(
        TrainConfig, network | size | training | length, TrainConfig(data=DataConfig(str(data), "word", min_count=1))
    )


def judge(loaded, each, texts):
    """Shares of last words that are right, of nouns and of all words, by kind and distance; and gradient horizons."""
    rng = random.Random(1)
    asked = [story(rng.choice(nouns), n, rng) for nouns in (KNOWN, NEW) for n in ASKED for _ in range(each)]
    shares = shares_right(loaded, asked, each)
    far = [story(rng.choice(KNOWN), ASKED[-1], rng) for _ in range(texts)]
    return {"right": shares, **horizons_of(loaded, far)}


def shares_right(loaded, stories, each):
    """Of known and of new nouns, at each distance, the share of last words that are right."""
    model, params, vocabulary = loaded.model, loaded.params, loaded.vocabulary
    tokens = ids_of(stories, vocabulary)
    _, logits = jax.jit(model.unroll)(params, model.initial_carry(params, tokens.shape[1:]), tokens)
    last = np.array([len(words) for words in stories])  # its place after the end-of-line token
    rows = np.arange(len(stories))
    logits, right = np.asarray(logits)[last - 1, rows], tokens[last, rows]
    shares = {}
    for among, words in {"nouns": KNOWN + NEW, "new nouns": NEW, "all words": vocabulary.tokens}.items():
        ids = np.array([vocabulary.ids[word] for word in words])
        hits = (ids[logits[:, ids].argmax(1)] == right).reshape(2, len(ASKED), each).mean(-1)
        shares.update({f"{among}, {kind}": hits[k] for k, kind in enumerate(("known", "new"))})
    return shares


def horizons_of(loaded, stories):
    """Gradient horizons and medians by lag, by every definition, over long stories."""
    tokens = ids_of(stories, loaded.vocabulary)
    flow = gradient_flow(loaded.model, loaded.params, tokens)
    profiles = {
        f"{leaf} of {what}": lag_profile(flow, leaf="h" if leaf == "h" else "all", first=first, resamples=0)
        for leaf in LEAVES
        for what, first in (("all words", 20), ("the last word", len(tokens) - 2))
    }
    horizons = {name: {str(share): p.horizons[share] for share in (0.1, 0.01)} for name, p in profiles.items()}
    curves = {name: p.log_median for name, p in profiles.items()}
    return {"horizons": horizons, "log_median": curves, "lags": int(flow.max_lag)}


def networks_of(cells, seeds, smoke, runs):
    """What every network of the stories can do, by cell and seed."""
    write_stories(runs / "text", 500 if smoke else 16_000, seed=0)

    def judged(name, seed):
        run = trained(settings(name, runs / "text", seed, smoke), runs / f"{name}-{seed}")
        return judge(run, *((5, 2) if smoke else (100, 16)))

    return {
        name: [remember(runs / f"{name}-{seed}.json", functools.partial(judged, name, seed)) for seed in range(seeds)]
        for name in cells
    }


def run(arguments) -> dict:
    """Trains, asks, solves."""
    smoke = arguments.smoke
    cells, seeds, delays = (("lstm",), 1, DELAYS[:1]) if smoke else (tuple(CELLS), arguments.seeds, DELAYS)
    results = networks_of(cells, seeds, smoke, arguments.runs)
    solved = solve_all(cells, delays, seeds, smoke, arguments.runs)
    return {"stories": results, "problems": solved, "asked": ASKED, "trained": TRAINED, "chance": CHANCE}


if __name__ == "__main__":
    STUDY.main(run, findings)
