"""How far back does the learning signal of a language model reach, and what does training do to it?

    python experiments/gradients/vanishing_gradients.py                       about 25 minutes on 2 CPU cores
    python experiments/gradients/vanishing_gradients.py --full --out FOLDER   WikiText-2 by word, RNN, GRU, LSTM: many
                                                                              hours (--data FOLDER, if it is on disk)

The claim under test, from lectures: an RNN is effectively conditioned on about 7 tokens, an LSTM on about 100. For the
gradient of every prediction's loss by every earlier state, on held-out text, at initialisation, early in training and
after it: the lag from which the median over predictions is below 10 % and below 1 % of the gradient at the output, the
lag within which 95 % of the gradient norm lies, the factor of a step back over lags 1-20 and 20-60, and the functional
horizon: the shortest context that costs less than 1 % of cross-entropy. For the simple RNN with several nonlinearities
and initialisations, the GRU, the LSTM with forget bias 0, 1 and 3, and stacks of 2 and 4 layers.

Expected: horizons in the order RNN < GRU, LSTM; the factor of a step below one for all of them, nearer to one for gated
cells after training; training lengthens the horizon of gated cells and may shorten that of the RNN; residual and
highway connections change the way down through the layers, not the way back through time.
"""

import dataclasses
import functools
import itertools
import json
from pathlib import Path

import numpy as np

from experiments.gradients.vanishing_gradients_figures import CLAIM, SINGLE, STACKS, STAGES
from experiments.gradients.vanishing_gradients_findings import findings
from experiments.gradients.vanishing_gradients_lags import thinned
from experiments.harness import Study
from experiments.harness.stages import states
from lm_jax import analysis
from lm_jax.config import OptimizerConfig, TrainConfig, from_flat
from lm_jax.data import load_corpus
from lm_jax.inference import likelihood
from lm_jax.report.study import remember
from lm_jax.runs.setup import Setup, set_up
from lm_jax.tasks import task_of


STUDY = Study(
    __doc__,
    __file__,
    {
        "--full": {"action": "store_true", "help": "WikiText-2 by word instead: hours"},
        "--data": {"help": "text of --full, if not wikitext-2 of the Hugging Face Hub"},
    },
)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large everything is. texts, predictions, max_lag: of a measurement, for one layer and for stacks."""

    variants: dict
    seeds: int
    steps: tuple[int, int, int]
    config: TrainConfig
    texts: tuple[int, int]
    predictions: tuple[int, int]
    max_lag: tuple[int, int]
    contexts: tuple[int, ...]
    positions: int
    unit: str = "character"
    save_every: int | None = None


CONTEXTS = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 150, 200)
CHARACTERS = from_flat(
    TrainConfig,
    {"hidden_size": 100, "embedding_size": 100, "batch_size": 16, "bptt": 100, "steps": 1},
    TrainConfig(optimizer=OptimizerConfig(learning_rate=2e-3, schedule="constant")),
)
THREE = {name: SINGLE[name] for name in CLAIM}


def scale(arguments) -> Scale:
    """The study that was asked for."""
    if arguments.smoke:
        tiny = from_flat(TrainConfig, {"hidden_size": 8, "embedding_size": 8, "bptt": 8}, CHARACTERS)
        variants = THREE | {"RNN, 2 layers": STACKS["RNN, 2 layers"]}
        return Scale(variants, 1, (0, 2, 4), tiny, (2, 2), (90, 90), (70, 70), (1, 2, 5, 10), 16)
    if arguments.full:
        settings = {"hidden_size": 200, "embedding_size": 200, "dropout": 0.2}
        settings |= {"data": arguments.data or "wikitext-2", "level": "word"}
        words = from_flat(TrainConfig, settings, CHARACTERS)
        return Scale(THREE, 3, (0, 500, 6500), words, (8, 8), (300, 300), (200, 200), CONTEXTS, 1000, "word", 250)
    return Scale(SINGLE | STACKS, 3, (0, 100, 600), CHARACTERS, (8, 4), (300, 200), (200, 100), CONTEXTS, 500)


def set_up_variant(settings: dict, seed: int, corpus, size: Scale, horizon: int) -> Setup:
    """Makes what a network of the study needs; its cell runs by the plain scan, which can be differentiated twice."""
    config = from_flat(TrainConfig, {**settings, "recurrence": "scan", "seed": seed}, size.config)
    return set_up(task_of(config), config, corpus, horizon)


def measure(model, params, corpus, size: Scale) -> dict:
    """Loss, gradient profiles of every leaf of the top layer and of the bottom layer's h, and functional horizon."""
    layers = len(params.cell.cells) if hasattr(params.cell, "cells") else 1
    texts, predictions, max_lag = ((pair[layers > 1]) for pair in (size.texts, size.predictions, size.max_lag))
    flow = analysis.gradient_flow(model, params, cut(corpus.valid, texts, predictions), max_lag=max_lag)
    chosen = [(layers - 1, leaf) for leaf in flow.carry[-1]] + ([(0, "h")] if layers > 1 else [])
    sizes = {"contexts": size.contexts, "positions": size.positions, "shuffle_beyond": (), "streams": 8}
    use = analysis.context_use(model, params, corpus.valid[:100_000], **sizes)
    return {
        "layers": layers,
        "valid_loss": likelihood(model, params, corpus.valid, corpus.vocabulary.eol_id).cross_entropy,
        "profiles": [profile(flow, layer, leaf) for layer, leaf in chosen],
        "functional_horizon": use.horizon(0.01),
        "functional_horizon_zero_state": use.horizon(0.01, "initial"),
        "caught_by_zero_state": float(use.caught("initial")[-1]),
        "cut_cost": [use.cost()[0], use.cost()[1]],
    }


def cut(tokens, texts, predictions):
    """Texts [T + 1, B], spread evenly over the tokens."""
    starts = np.linspace(0, len(tokens) - predictions - 1, texts).astype(int)
    return np.stack([tokens[start : start + predictions + 1] for start in starts], axis=1)


def profile(flow, layer, leaf) -> dict:
    """A lag profile in plain numbers; only predictions that have 50 steps before them count."""
    found = analysis.lag_profile(flow, layer=layer, leaf=leaf, first=50, resamples=0)
    return {
        "layer": layer,
        "leaf": leaf,
        "log_median": found.log_median,
        "log_quartiles": [found.log_quantiles[0.25], found.log_quantiles[0.75]],
        "counts": found.counts,
        "horizon_10": found.horizons[0.1],
        "horizon_1": found.horizons[0.01],
        "half_life": found.half_life,
        "mass_lag": found.mass_lag,
        "factor_1_20": found.factors[1, 20],
        "factor_20_60": found.factors[20, 60],
    }


def measured_stages(name: str, seed: int, corpus, size: Scale, folder: Path) -> list[dict]:
    """The measurements of one network at the three stages."""
    paths = [folder / f"{name.replace(' ', '-').replace(',', '')}-{seed}-{step}.json" for step in size.steps]
    if not all(path.exists() for path in paths):
        print(f"{name}, seed {seed}", flush=True)
        setup = set_up_variant(size.variants[name], seed, corpus, size, size.steps[-1])
        for step, params in states(setup, size.steps, paths[0].with_suffix(".states"), size.save_every):
            remember(paths[size.steps.index(step)], functools.partial(measure, setup.model, params, corpus, size))
    own = [json.loads(path.read_text()) for path in paths]
    names = zip(STAGES, size.steps, own, strict=True)
    return [{"variant": name, "seed": seed, "stage": stage, "step": step, **found} for stage, step, found in names]


def embedding_scales(corpus, size: Scale, folder: Path) -> list[dict]:
    """Horizons at initialisation with the embedding uniform on +-0.1, as always here, and on +-1 and +-3."""

    def compute():
        found = []
        for name, bound, seed in itertools.product(CLAIM, (0.1, 1.0, 3.0), range(size.seeds)):
            setup = set_up_variant(SINGLE[name], seed, corpus, size, 1)
            params = setup.create().params
            params = params.replace(embedding=params.embedding * (bound / 0.1))
            texts = cut(corpus.valid, size.texts[0], size.predictions[0])
            flow = analysis.gradient_flow(setup.model, params, texts, max_lag=size.max_lag[0])
            found.append({"variant": name, "seed": seed, "embedding_bound": bound, **profile(flow, -1, "h")})
        return {"found": found}

    return remember(folder / "embedding_scales.json", compute)["found"]


def run(arguments) -> dict:
    """Trains and measures every network."""
    if arguments.full and arguments.out == STUDY.results:
        raise SystemExit("--full needs an --out of its own: that of the study has the numbers by character")
    size = scale(arguments)
    folder = arguments.runs.with_name("words") if arguments.full else arguments.runs
    corpus = load_corpus(**dataclasses.asdict(size.config.data))
    networks = [
        found
        for variant in size.variants
        for seed in range(size.seeds)
        for found in measured_stages(variant, seed, corpus, size, folder)
    ]
    scales = embedding_scales(corpus, size, folder)
    return {
        "unit": size.unit,
        "largest": max(size.max_lag[0], size.contexts[-1]),
        **thinned({"networks": networks, "embedding_scales": scales}),
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
