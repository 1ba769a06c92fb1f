"""How far back does the learning signal of a language model reach, and what does training do to it?

    python experiments/vanishing_gradients.py                   about 25 minutes on 2 CPU cores
    python experiments/vanishing_gradients.py --smoke           seconds; numbers mean nothing
    python experiments/vanishing_gradients.py --full            WikiText-2 by word, RNN, GRU, LSTM: many hours
                                                                (--data FOLDER, if it is on disk)

The claim under test, from lectures: an RNN is effectively conditioned on about 7 tokens, an LSTM on about 100. For the
gradient of every prediction's loss by every earlier state, on held-out text, at initialisation, early in training and
after it: the lag from which the median over predictions is below 10 % and below 1 % of the gradient at the output, the
lag within which 95 % of the gradient norm lies, the factor of a step back over lags 1-20 and 20-60, and the functional
horizon: the shortest context that costs less than 1 % of cross-entropy. For the simple RNN with several nonlinearities
and initialisations, the GRU, the LSTM with forget bias 0, 1 and 3, and stacks of 2 and 4 layers.

Expected: horizons in the order RNN < GRU, LSTM; the factor of a step below one for all of them, nearer to one for gated
cells after training; training lengthens the horizon of gated cells and may shorten that of the RNN; residual and
highway connections change the way down through the layers, not the way back through time.

Writes a JSON, a CSV, pictures and report.html in --out (default: experiments/results/vanishing_gradients). Finished
parts and states are kept in --runs; an interrupted study goes on where it was when the command is given again.
"""

import argparse
import contextlib
import dataclasses
import functools
import itertools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import lm_jax
from lm_jax import DataConfig, ModelConfig, OptimizerConfig, TrainConfig, analysis
from lm_jax.data.batching import Streams
from lm_jax.report.study import Picture, remember, write_study
from lm_jax.report.style import COLOURS, SERIES, clean, label_ends
from lm_jax.runs.setup import set_up
from lm_jax.training.checkpoints import Checkpoints


CLAIM = {"RNN": 7, "GRU": None, "LSTM": 100}
SINGLE = {
    "RNN": {"cell": "rnn"},
    "GRU": {"cell": "gru"},
    "LSTM": {"cell": "lstm"},
    "LSTM, forget bias 0": {"cell": "lstm", "forget_bias": 0.0},
    "LSTM, forget bias 3": {"cell": "lstm", "forget_bias": 3.0},
    "RNN, identity": {"cell": "rnn", "init": "identity"},
    "RNN, orthogonal x 0.5": {"cell": "rnn", "init_scale": 0.5},
    "RNN, orthogonal x 1.5": {"cell": "rnn", "init_scale": 1.5},
    "RNN, relu": {"cell": "rnn", "nonlinearity": "relu"},
    "RNN, relu, identity": {"cell": "rnn", "nonlinearity": "relu", "init": "identity"},
}
STACKS = {
    f"{cell.upper()}, {layers} layers" + ("" if connection == "plain" else f", {connection}"): {
        "cell": cell,
        "layers": layers,
        "connection": connection,
    }
    for cell in ("rnn", "lstm")
    for layers, connection in ((2, "plain"), (3, "plain"), (4, "plain"), (4, "residual"), (4, "highway"))
}
STAGES = ("at initialisation", "early", "after training")


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


def scale(arguments) -> Scale:
    """The study that was asked for."""
    adam = OptimizerConfig(learning_rate=2e-3, schedule="constant")
    model = ModelConfig(recurrence="scan", hidden_size=100, embedding_size=100)
    config = TrainConfig(model=model, optimizer=adam, batch_size=16, bptt=100, steps=1)
    contexts = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 150, 200)
    if arguments.smoke:
        tiny = dataclasses.replace(
            config, model=ModelConfig(recurrence="scan", hidden_size=8, embedding_size=8), bptt=8
        )
        variants = {"RNN": SINGLE["RNN"], "GRU": SINGLE["GRU"], "LSTM": SINGLE["LSTM"]}
        variants |= {"RNN, 2 layers": STACKS["RNN, 2 layers"]}
        return Scale(variants, 1, (0, 2, 4), tiny, (2, 2), (90, 90), (70, 70), (1, 2, 5, 10), 16)
    if arguments.full:
        words = dataclasses.replace(
            config,
            data=DataConfig(arguments.data or "wikitext-2", "word"),
            model=ModelConfig(recurrence="scan", hidden_size=200, embedding_size=200, dropout=0.2),
        )
        variants = {"RNN": SINGLE["RNN"], "GRU": SINGLE["GRU"], "LSTM": SINGLE["LSTM"]}
        return Scale(variants, 3, (0, 500, 6500), words, (8, 8), (300, 300), (200, 200), contexts, 1000, "word", 250)
    return Scale(SINGLE | STACKS, 3, (0, 100, 600), config, (8, 4), (300, 200), (200, 100), contexts, 500)


def states(setup, stages, folder: Path, save_every: int | None):
    """Yields (stage, parameters) as training comes to each; goes on from the newest state that was saved."""
    state, epoch = setup.create(), None
    with Checkpoints(folder) if save_every else contextlib.nullcontext() as saved:
        if save_every and saved.steps:
            state, _ = saved.restore_newest(state)
        step, per_epoch = int(state.step), setup.batches.steps_per_epoch
        for stage in (stage for stage in stages if stage >= step):
            while step < stage:
                if epoch != step // per_epoch:
                    epoch = step // per_epoch
                    streams = jax.tree.map(jnp.asarray, Streams(*setup.batches.epoch(epoch)))
                stops = [stage - step, *(every - step % every for every in (per_epoch, save_every) if every)]
                state = setup.train_steps(state, streams, min(stops))
                step = int(state.step)
                if save_every and step % save_every == 0:
                    saved.save(state, {}, None)
            yield stage, state.params


def measure(model, params, corpus, size: Scale) -> dict:
    """Loss, gradient profiles of every leaf of the top layer and of the bottom layer's h, and functional horizon."""
    layers = len(params.cell.cells) if hasattr(params.cell, "cells") else 1
    texts, predictions, max_lag = ((pair[layers > 1]) for pair in (size.texts, size.predictions, size.max_lag))
    flow = analysis.gradient_flow(model, params, cut(corpus.valid, texts, predictions), max_lag=max_lag)
    chosen = [(layers - 1, leaf) for leaf in flow.carry[-1]] + ([(0, "h")] if layers > 1 else [])
    use = analysis.context_use(
        model,
        params,
        corpus.valid[:100_000],
        contexts=size.contexts,
        positions=size.positions,
        shuffle_beyond=(),
        streams=8,
    )
    return {
        "layers": layers,
        "valid_loss": lm_jax.likelihood(model, params, corpus.valid, corpus.vocabulary.eol_id).cross_entropy,
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


def run(name: str, seed: int, corpus, size: Scale, folder: Path) -> list[dict]:
    """The measurements of one network at the three stages."""
    paths = [folder / f"{name.replace(' ', '-').replace(',', '')}-{seed}-{step}.json" for step in size.steps]
    if not all(path.exists() for path in paths):
        print(f"{name}, seed {seed}", flush=True)
        model = dataclasses.replace(size.config.model, **size.variants[name])
        setup = set_up(dataclasses.replace(size.config, model=model, seed=seed), corpus, size.steps[-1])
        # a model in mid-training is measured before it trains on, since a step takes the state over
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
            model = dataclasses.replace(size.config.model, **SINGLE[name])
            setup = set_up(dataclasses.replace(size.config, model=model, seed=seed), corpus, 1)
            params = setup.create().params
            params = params.replace(embedding=params.embedding * (bound / 0.1))
            texts = cut(corpus.valid, size.texts[0], size.predictions[0])
            flow = analysis.gradient_flow(setup.model, params, texts, max_lag=size.max_lag[0])
            found.append({"variant": name, "seed": seed, "embedding_bound": bound, **profile(flow, -1, "h")})
        return {"found": found}

    return remember(folder / "embedding_scales.json", compute)["found"]


def to_rows(results) -> list[dict]:
    """A line for every profile."""
    columns = ("layer", "leaf", "horizon_10", "horizon_1", "half_life", "mass_lag", "factor_1_20", "factor_20_60")
    facts = ("variant", "seed", "stage", "step")
    return [
        {
            **{name: result[name] for name in facts},
            **{name: found[name] for name in columns},
            "functional_horizon": result["functional_horizon"],
            "valid_loss": result["valid_loss"],
        }
        for result in results
        for found in result["profiles"]
    ]


def compact(found):
    """Numbers of three decimals where there are many of them: megabytes less."""
    if isinstance(found, dict):
        return {name: compact(value) for name, value in found.items()}
    if isinstance(found, list):
        return [round(x, 3) if isinstance(x, float) else compact(x) for x in found]
    return found


def top(results, variant, stage, leaf="h"):
    """The profiles of the top layer of all seeds."""
    own = [r for r in results if r["variant"] == variant and r["stage"] == stage]
    return [next(p for p in r["profiles"] if p["leaf"] == leaf and p["layer"] == r["layers"] - 1) for r in own]


def to_numbers(logs):
    """log r as an array; a gradient of zero came through JSON as null."""
    return np.array([[-np.inf if value is None else value for value in log] for log in logs], float)


def draw_curves(results, variants: dict[str, str], size: Scale, leaf: str = "h"):
    """A panel for the first and one for the last stage: the median of r by lag, the mean and the range over seeds."""
    figure = Figure(figsize=(12.0, 4.6), layout="constrained")
    stages = (STAGES[0], STAGES[2])
    longest = min(len(p["log_median"]) for variant in variants for p in top(results, variant, stages[0], leaf))
    lags = np.arange(1, longest + 1)
    for axes, stage in zip(figure.subplots(1, 2, sharey=True), stages, strict=True):
        ends = []
        for variant, colour in variants.items():
            logs = to_numbers([p["log_median"][:longest] for p in top(results, variant, stage, leaf)])
            axes.plot(lags, np.exp(logs.mean(0)), color=colour, linewidth=1.8)
            axes.fill_between(lags, np.exp(logs.min(0)), np.exp(logs.max(0)), color=colour, alpha=0.18, linewidth=0)
            ends.append((longest, float(np.exp(logs.mean(0)[-1])), variant, colour))
        axes.set_yscale("log")
        axes.set_ylim(1e-8, 5)
        axes.set_xlim(0, longest)
        for share in (0.1, 0.01):
            axes.axhline(share, color="0.4", linewidth=0.8, linestyle=":")
            where = {"xytext": (4, 2), "textcoords": "offset points", "fontsize": 8, "color": "0.35"}
            axes.annotate(f"{share:.0%}", (longest * 0.93, share), **where)
        axes.set_title(stage, loc="left")
        axes.set_xlabel(f"lag ({size.unit}s back)")
        clean(axes)
        label_ends(axes, ends)
    base = "that by the output" if leaf == "h" else "that one step back"
    what = "the whole state" if leaf == "all" else leaf
    figure.axes[0].set_ylabel(f"gradient by {what}, relative to\n{base} (median)")
    return figure


DEFINITIONS = {  # (leaf of the top layer's carry, field), or a field of the network
    ("h", "horizon_10"): "gradient by h below 10 %",
    ("h", "horizon_1"): "by h below 1 %",
    ("h", "mass_lag"): "by h, 95 % of its norm",
    ("all", "horizon_10"): "by the whole carry below 10 %",
    ("all", "horizon_1"): "by the whole carry below 1 %",
    ("all", "mass_lag"): "by the whole carry, 95 % of its norm",
    ("", "functional_horizon"): "functional: 1 % of cross-entropy",
}


def measured(results, variant: str, stage: str, leaf: str, field: str) -> list:
    """A number of every seed; None for a horizon beyond what was measured."""
    if leaf:
        return [found[field] for found in top(results, variant, stage, leaf)]
    return [r[field] for r in results if r["variant"] == variant and r["stage"] == stage]


def draw_horizons(results, size: Scale):
    """Every definition of horizon for RNN, GRU and LSTM before, early in and after training, beside the claim."""
    figure = Figure(figsize=(12.0, 4.8), layout="constrained")
    largest = max(size.max_lag[0], size.contexts[-1])
    for axes, (variant, claim) in zip(figure.subplots(1, len(CLAIM), sharey=True), CLAIM.items(), strict=True):
        for place, definition in enumerate(DEFINITIONS):
            for offset, stage, fill in zip((-0.2, 0.0, 0.2), STAGES, ("none", "0.75", None), strict=True):
                colour = COLOURS[variant.lower()]
                for value in measured(results, variant, stage, *definition):
                    axes.plot(
                        [value or largest * 1.25],
                        [place + offset],
                        "o" if value else ">",
                        color=colour,
                        markerfacecolor=fill or colour,
                        markersize=6,
                    )
        if claim:
            axes.axvline(claim, color="0.4", linewidth=1, linestyle="--")
            axes.annotate(f"claim: {claim}", (claim, -0.55), (3, 0), textcoords="offset points", fontsize=8, va="top")
        axes.set_xscale("log")
        axes.set_xlim(0.8, largest * 1.5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(len(DEFINITIONS) - 0.5, -0.6)
        axes.set_yticks(range(len(DEFINITIONS)), DEFINITIONS.values())
        axes.set_title(variant, loc="left", color=COLOURS[variant.lower()])
        axes.set_xlabel(f"horizon ({size.unit}s)")
        clean(axes)
    return figure


def said(values) -> str:
    """Horizons of several seeds as words: 7, 7-9, or over 200."""
    known = sorted(value for value in values if value is not None)
    if len(known) < len(values):
        return f"{known[0]} or more" if known else "beyond all lags measured"
    return f"{known[0]}" if known[0] == known[-1] else f"{known[0]}-{known[-1]}"


def answer(results, size: Scale) -> str:
    """What was found, in one sentence made of the numbers."""
    parts, verdicts = [], []
    for variant, claim in CLAIM.items():
        carry, before, by_h, mass, use = (
            said(measured(results, variant, stage, *definition))
            for stage, definition in (
                (STAGES[2], ("all", "horizon_10")),
                (STAGES[0], ("all", "horizon_10")),
                (STAGES[2], ("h", "horizon_10")),
                (STAGES[2], ("all", "mass_lag")),
                (STAGES[2], ("", "functional_horizon")),
            )
        )
        near, far = (measured(results, variant, STAGES[2], "all", f) for f in ("factor_1_20", "factor_20_60"))
        factors = "-".join(f"{np.median([f for f in own if f is not None] or [np.nan]):.2f}" for own in (near, far))
        parts.append(
            f"{variant} {carry} (10 % by the carry; {before} before training; by h {by_h}), {mass} (95 % of the norm), "
            f"{use} (functional), factors of a step {factors}"
        )
        right = [words for definition, words in DEFINITIONS.items() if agrees(results, variant, claim, definition)]
        if claim:
            by = f"{len(right)} of {len(DEFINITIONS)} definitions ({'; '.join(right)})" if right else "no definition"
            verdicts.append(f"the {claim} of the {variant} is right within a factor of two by {by}")
    ordered = [words for definition, words in DEFINITIONS.items() if rises(results, definition)]
    order = f"the expected order, RNN below GRU and LSTM, holds for all seeds by: {'; '.join(ordered) or 'none'}"
    claims = f"of the lecture's claim, {', '.join(verdicts)}"
    return f"Horizons after training, in {size.unit}s: {'; '.join(parts)}; {claims}; {order}."


def agrees(results, variant, claim, definition) -> bool:
    """Whether all seeds are within a factor of two of the claim, after training."""
    values = measured(results, variant, STAGES[2], *definition)
    return claim is not None and all(v is not None and claim / 2 <= v <= claim * 2 for v in values)


def rises(results, definition) -> bool:
    """Whether the RNN's horizon is the shortest, whatever the seeds."""
    rnn, *gated = (
        [np.inf if v is None else v for v in measured(results, variant, STAGES[2], *definition)] for variant in CLAIM
    )
    return all(max(rnn) < min(values) for values in gated)


INITIALISATIONS = {
    "RNN": SERIES[0],
    "RNN, identity": SERIES[5],
    "RNN, orthogonal x 0.5": SERIES[3],
    "RNN, orthogonal x 1.5": SERIES[4],
    "RNN, relu": SERIES[6],
    "RNN, relu, identity": SERIES[2],
}
FORGET_BIASES = {"LSTM, forget bias 0": SERIES[4], "LSTM": SERIES[1], "LSTM, forget bias 3": SERIES[3]}


def pictures(results, size: Scale) -> list[Picture]:
    """All figures; those of variants that this scale does not have are left out."""
    seeds = f"Lines: mean over {size.seeds} seeds; bands: their range."
    marks = "Hollow: at initialisation, grey: early, filled: after training; a mark a seed, > beyond what was measured."
    three = {variant: COLOURS[variant.lower()] for variant in CLAIM}
    found = [
        Picture("vanishing_gradients", draw_curves(results, three, size, "all"), f"By the whole carry. {seeds}"),
        Picture("by_h", draw_curves(results, three, size), f"By h alone: of the LSTM with c held. {seeds}"),
        Picture("horizons", draw_horizons(results, size), marks),
    ]
    if not SINGLE.keys() | STACKS.keys() <= size.variants.keys():
        return found
    curves = {
        "initialisations": (INITIALISATIONS, "h", "The simple RNN by nonlinearity and initialisation."),
        "forget_biases": (FORGET_BIASES, "c", "The gradient by the LSTM's memory c, relative to one step back."),
    }
    for cell in ("RNN", "LSTM"):
        names = [cell, *(name for name in STACKS if name.startswith(cell))]
        stack = dict(zip(names, SERIES, strict=False))
        curves[f"stacks_{cell.lower()}"] = (stack, "h", f"Stacks of {cell} layers: the top layer's h.")
    for name, (variants, leaf, caption) in curves.items():
        found.append(Picture(name, draw_curves(results, variants, size, leaf), f"{caption} {seeds}"))
    return found


def table(results) -> str:
    """The top layer's h, a line a network and stage."""
    columns = {"horizon_10": "10 %", "horizon_1": "1 %", "mass_lag": "mass", "factor_1_20": "f 1-20"}
    columns |= {"factor_20_60": "f 20-60"}
    lines = [
        f"{'variant':<24} {'stage':<18} {'seed':>4}" + "".join(f"{c:>8}" for c in columns.values()) + "     use  valid"
    ]
    for result in results:
        found = next(p for p in result["profiles"] if p["leaf"] == "h" and p["layer"] == result["layers"] - 1)
        cells = [found[name] for name in columns] + [result["functional_horizon"]]
        numbers = "".join(f"{'-' if n is None else f'{n:.3f}' if isinstance(n, float) else n:>8}" for n in cells)
        facts = f"{result['variant']:<24} {result['stage']:<18} {result['seed']:>4}"
        lines.append(f"{facts}{numbers}  {result['valid_loss']:.3f}")
    return "\n".join(lines)


def main() -> None:
    """Trains, measures, writes, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--full", action="store_true", help="WikiText-2 by word instead: hours")
    parser.add_argument("--data", help="text of --full, if not wikitext-2 of the Hugging Face Hub")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/vanishing_gradients"))
    arguments = parser.parse_args()
    size = scale(arguments)
    kind = "smoke" if arguments.smoke else "words" if arguments.full else "characters"
    folder = arguments.runs / kind
    name = "vanishing_gradients" + ("_words" if arguments.full else "")
    corpus = lm_jax.load_corpus(**dataclasses.asdict(size.config.data))
    results = [
        found
        for variant in size.variants
        for seed in range(size.seeds)
        for found in run(variant, seed, corpus, size, folder)
    ]
    scales = embedding_scales(corpus, size, folder)
    rows = to_rows(results) + [
        {"variant": f"{found['variant']}, embedding +-{found['embedding_bound']:g}", "stage": STAGES[0], "step": 0}
        | {name: found[name] for name in ("seed", "layer", "leaf", "horizon_10", "horizon_1", "factor_1_20")}
        for found in scales
    ]
    write_study(
        arguments.out or Path(__file__).parent / "results" / name,
        name,
        title="How far back does the learning signal of a language model reach?",
        question=__doc__.splitlines()[0],
        expected=__doc__.split("Expected: ")[1].split("\n\n")[0].replace("\n", " "),
        answer=answer(results, size),
        command="python experiments/vanishing_gradients.py" + {"smoke": " --smoke", "words": " --full"}.get(kind, ""),
        results={
            "networks": [compact(result) for result in results],
            "embedding_scales": [compact(found) for found in scales],
        },
        rows=rows,
        figures=pictures(results, size),
    )
    print(f"{answer(results, size)}\n{table(results)}")


if __name__ == "__main__":
    main()
