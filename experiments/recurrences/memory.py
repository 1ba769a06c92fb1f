"""Which recurrences keep their gradients from vanishing, and what of the past do they use, before and after training?

    python experiments/recurrences/memory.py                 about 15 minutes on 1 CPU core
    python experiments/recurrences/memory.py lru attention   some of the networks
    python experiments/recurrences/memory.py --data FILE --out FOLDER   another text

Networks of two residual blocks, each around one cell, and a Transformer of two layers that reaches 64 characters back
in each, all of about 40,000 parameters, read a text by character; before training and after 400 steps of it (16 streams
of 64 characters, Adam) all instruments of the laboratory are applied to them, on held-out text. The gradient of a
prediction's loss is taken by the whole carry of the network, all layers and all leaves of it (of attention: the cached
keys and values), that is handed on l characters before: its norm as a share of that one character before, in the
median over predictions. From it come the horizons (below 10 %, below 1 %, half), the distance within which 95 % of its
norm lies, and the factor of a character; beside it the largest Lyapunov exponent, the functional horizon (the shortest
context that costs less than 1 % of cross-entropy), and the cosine between gradients truncated after 10 characters and
whole ones.

Expected: before training the gradient falls below 1 % within 20 characters in the RNN; in LRU and RG-LRU, whose
eigenvalues begin between 0.9 and 0.999, not within 50. After training no network is chaotic: all exponents are
negative. Attention's gradient does not fall with distance, but ends: nothing is left beyond 126 characters, and its
exponent is minus infinity. What is used differs less than what is reached: after training all functional horizons are
within a factor of 4 of each other.
"""

import argparse
import functools
import json
from typing import Any

import jax
import numpy as np

from experiments.harness import Study, integer
from experiments.harness.stages import states
from experiments.recurrences.architectures import OPTION, chosen, parameters, state_size
from experiments.recurrences.memory_findings import CONTEXT, STAGES, findings
from experiments.recurrences.reading import corpus_of, cut, set_up_network, text_name
from lm_jax import analysis
from lm_jax.analysis import GradientFlow
from lm_jax.inference import likelihood
from lm_jax.models import LanguageModel
from lm_jax.report.study import remember
from lm_jax.types import Params


PARAMETERS, STEPS = 40_000, 400
TRAINING = {"batch_size": 16, "bptt": 64}
MAX_LAG = 130  # a little beyond what the two layers of attention reach
HELD_OUT = 20_000  # tokens of the validation text
STUDY = Study(
    __doc__,
    __file__,
    {"networks": OPTION, "--seeds": integer(3), "--data": {"help": "another text than the default one"}},
)


def whole_carry(flow: GradientFlow) -> GradientFlow:
    """The same gradients by the carries of all layers as one."""
    squares = [2 * layer["all"] for layer in flow.carry]
    with np.errstate(invalid="ignore"):  # NaN stands where nothing was measured
        norm = 0.5 * functools.reduce(np.logaddexp, squares)
    return flow._replace(carry=({"all": norm},))


def profile(model: LanguageModel, params: Params, texts: np.ndarray, max_lag: int) -> dict[str, Any]:
    """The fall of the gradient with distance; only predictions with max_lag characters before them count."""
    flow = whole_carry(analysis.gradient_flow(model, params, texts, max_lag=max_lag))
    found = analysis.lag_profile(flow, leaf="all", first=max_lag, resamples=0, factor_lags=((1, max_lag // 6),))
    return {
        "log_median": [None if np.isneginf(log) else round(float(log), 3) for log in found.log_median],
        "horizon_10": found.horizons[0.1],
        "horizon_1": found.horizons[0.01],
        "half_life": found.half_life,
        "mass_lag": found.mass_lag,
        "factor": next(iter(found.factors.values())),
    }


def measure(model: LanguageModel, params: Params, tokens: np.ndarray, eol_id: int, smoke: bool) -> dict[str, Any]:
    """What the laboratory says of a network."""
    max_lag, positions, contexts = (12, 16, (1, 2, 5)) if smoke else (MAX_LAG, 200, (1, 2, 5, 10, 20, 30, 50, 70, 100))
    texts = cut(tokens, 2, 20) if smoke else cut(tokens, 4, 2 * max_lag)
    use = analysis.context_use(
        model, params, tokens, contexts=contexts, positions=positions, shuffle_beyond=(), streams=8
    )
    bias = analysis.truncation_bias(model, params, texts, lengths=(10,))
    exponent = analysis.lyapunov_exponents(model, params, texts[:-1], count=1, discard=len(texts) // 4).mean()
    return {
        "bits": likelihood(model, params, tokens, eol_id).cross_entropy / np.log(2),
        **profile(model, params, texts, max_lag),
        "exponent": None if np.isneginf(exponent) else float(exponent),
        "functional": use.horizon(0.01),
        "functional_from_nothing": use.horizon(0.01, "initial"),
        "cut_cost": use.cost()[0],
        "cosine": float(bias.cosine["cell"][0]),
    }


def stages_of(name: str, seed: int, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A network before and after training; only read where it was measured before."""
    steps = (0, 2) if arguments.smoke else (0, STEPS)
    folder = arguments.runs / text_name(arguments.data).replace(" ", "-")
    paths = [folder / f"{name}-{seed}-{step}.json" for step in steps]
    if not all(path.exists() for path in paths):
        print(f"{name}, seed {seed}", flush=True)
        corpus = corpus_of(arguments.data)
        training = {**TRAINING, "seed": seed, "steps": steps[-1]}
        setup = set_up_network(name, corpus, 6000 if arguments.smoke else PARAMETERS, CONTEXT, training)
        tokens, eol_id = corpus.valid[: 600 if arguments.smoke else HELD_OUT], corpus.vocabulary.eol_id
        about = {"parameters": parameters(setup.model), "state": state_size(setup.model)}

        def found(params):
            return about | measure(setup.model, params, tokens, eol_id, arguments.smoke)

        for path, (_, params) in zip(paths, states(setup, steps), strict=True):
            remember(path, functools.partial(found, params))
    own = [json.loads(path.read_text()) for path in paths]
    return [
        {"network": name, "seed": seed, "stage": stage, "step": step, **one}
        for stage, step, one in zip(STAGES, steps, own, strict=True)
    ]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains and measures every network."""
    if arguments.data and arguments.out == STUDY.results:
        raise SystemExit("--data needs an --out of its own: that of the study has the numbers of the default text")
    seeds = 1 if arguments.smoke else arguments.seeds
    names = chosen(arguments.networks, arguments.smoke)
    measured = []
    for name in names:  # compiled programs serve all seeds of a network, and no other network
        measured += [one for seed in range(seeds) for one in stages_of(name, seed, arguments)]
        jax.clear_caches()
    return {"measured": measured, "max_lag": len(measured[0]["log_median"])}


if __name__ == "__main__":
    STUDY.main(run, findings)
