"""How do gates keep a memory? Open and shut by force, and what a language model learns to do with them.

    python experiments/gates.py             about 5 minutes on 2 CPU cores
    python experiments/gates.py --smoke     seconds; numbers mean nothing

By force: an LSTM with forget gate 1 and input gate 0, and a GRU with z = 1 (the lecture's update gate 0, u = 1 - z),
read 1,000 characters. Learned: GRU, and LSTM with forget bias 0, 1 and 3, three seeds each; on held-out text, the
values of every gate before and after training, and the time constants they imply: a unit that keeps a share f_t of
its state at step t keeps exp(-t/tau) of it, tau = -1 / mean log f_t.

Expected: the forced cells are unchanged to the last bit after 1,000 steps, and the derivative by the state is one in
every direction. Before training the constants are those of the biases: 1.4 steps for 0 and for the GRU, 3.2 for 1,
20.6 for 3. Training spreads them over units, most short and a few far longer than any bias gives, the longest where
the forget bias began at 3.

Writes gates.json, gates.csv, pictures and report.html in --out (default: experiments/results/gates). Finished parts
are kept in --runs; an interrupted study goes on where it was when the command is given again.
"""

import argparse
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import lm_jax
from lm_jax import ModelConfig, TrainConfig, analysis
from lm_jax.data.batching import Streams
from lm_jax.report.study import Picture, remember, write_study
from lm_jax.report.style import COLOURS, SERIES, clean, label_ends
from lm_jax.runs.setup import set_up


VARIANTS = {
    "GRU": {"cell": "gru"},
    "LSTM, forget bias 0": {"cell": "lstm", "forget_bias": 0.0},
    "LSTM, forget bias 1": {"cell": "lstm", "forget_bias": 1.0},
    "LSTM, forget bias 3": {"cell": "lstm", "forget_bias": 3.0},
}
KEEPS = {"gru": "gate.update", "lstm": "gate.forget"}
STAGES = ("before training", "after training")
FORCED_STEPS = 1000
FORCED_BIASES = (0.0, 1.0, 3.0, 5.0, 7.0, 200.0)
FULLY = 200.0  # sigmoid(200) is 1 and sigmoid(-200) is 0 in float32
EDGES = np.linspace(-10, 10, 81)  # of the histograms, in logits
SHARES = (0.1, 0.5, 0.9)
LONG = 100


def forced_cells(corpus, size) -> dict:
    """What is left after every step of an LSTM's c and a GRU's h with gates forced by biases of 200; their Jacobian."""
    tokens = corpus.valid[: FORCED_STEPS + 1]
    found = {}
    for name, block, leaf in (("LSTM", {0: -FULLY, 1: FULLY}, "c"), ("GRU", {1: FULLY}, "h")):
        model = lm_jax.from_config(
            ModelConfig(cell=name.lower(), recurrence="scan", hidden_size=size), len(corpus.vocabulary)
        )
        params = model.init(jax.random.key(0))
        gates = params.cell.b.reshape(-1, size)
        for gate, bias in block.items():
            gates = gates.at[gate].set(bias)
        params = params.replace(cell=params.cell.replace(b=gates.ravel()))
        drawn = jax.tree.map(lambda a: jax.random.normal(jax.random.key(1), a.shape), model.initial_carry(params, (1,)))
        carry, _ = model.unroll(params, drawn, tokens[:FORCED_STEPS, None])
        change = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), carry, drawn)
        spectrum = analysis.step_jacobians(
            model, params, tokens, leaf=leaf, lag=FORCED_STEPS - 1, positions=[FORCED_STEPS - 1]
        )
        logs = spectrum.log_singular_values
        found[name] = {
            "steps": FORCED_STEPS,
            "largest_change": getattr(change, leaf) if hasattr(change, leaf) else change,
            "log_singular_values": [float(logs.min()), float(logs.max())],
        }
    return found


def biases_alone() -> dict:
    """The share of c left after t steps of an LSTM whose gates are their biases: f^t."""
    model = lm_jax.lstm(1, 1)
    kept = {}
    for bias in FORCED_BIASES:
        params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
        params = params.replace(b=params.b.at[:2].set(jnp.array([-FULLY, bias])))
        carry = model.initial_carry(params, ())._replace(c=jnp.ones(1))
        _, after = jax.lax.scan(
            lambda carry, x, params=params: (model.step(params, carry, x)[0],) * 2, carry, jnp.zeros((FORCED_STEPS, 1))
        )
        kept[str(bias)] = np.asarray(after.c[:, 0])
    return kept


def time_constant(f):
    """-1 / log f in steps: inf for 1, 0 for 0."""
    with np.errstate(divide="ignore"):
        return np.abs(1 / np.log(np.asarray(f, np.float64)))


def measure(model, params, texts, warm_up: int, keeps: str) -> dict:
    """Gate values, and the time constants of units, over all steps of the texts but the first."""
    gates = {name: v[warm_up:].astype(np.float64) for name, v in analysis.gate_values(model, params, texts).items()}
    with np.errstate(divide="ignore"):
        logits = {name: np.clip(np.log(v) - np.log1p(-v), EDGES[0], EDGES[-1]) for name, v in gates.items()}
        units = time_constant(np.exp(np.mean(np.log(gates[keeps]), axis=(0, 1))))
    return {
        "gates": {
            name: {
                "mean": v.mean(),
                "quantiles": np.quantile(v, SHARES),
                "histogram": np.histogram(logits[name], EDGES)[0] / v.size,
            }
            for name, v in gates.items()
        },
        "values": gates[keeps].size,
        "time_constants": np.sort(units),
        "time_constants_of_values": time_constant(np.quantile(gates[keeps], SHARES)),
        "saturation": analysis.saturation(model, params, texts).share,
        "radius": analysis.recurrent_radius(model, params),
    }


def trained(setup, steps: int):
    """The parameters after so many steps of training."""
    state, epoch = setup.create(), 0
    while steps:
        streams = jax.tree.map(jnp.asarray, Streams(*setup.batches.epoch(epoch)))
        state = setup.train_steps(state, streams, min(steps, setup.batches.steps_per_epoch))
        steps, epoch = max(0, steps - setup.batches.steps_per_epoch), epoch + 1
    return state.params


def network(variant: str, seed: int, corpus, size) -> dict:
    """One network, measured before and after training."""
    print(f"{variant}, seed {seed}", flush=True)
    model = ModelConfig(recurrence="scan", hidden_size=size["hidden"], **VARIANTS[variant])
    setup = set_up(TrainConfig(model=model, steps=size["steps"], seed=seed), corpus, size["steps"])
    starts = np.linspace(0, len(corpus.valid) - size["length"], size["texts"]).astype(int)
    texts = np.stack([corpus.valid[start : start + size["length"]] for start in starts], axis=1)
    found = {"variant": variant, "seed": seed, "stages": {}}
    for stage, steps in zip(STAGES, (0, size["steps"]), strict=True):
        params = trained(setup, steps)
        loss = lm_jax.likelihood(setup.model, params, corpus.valid, corpus.vocabulary.eol_id).cross_entropy
        measured = measure(setup.model, params, texts, size["warm_up"], KEEPS[model.cell])
        found["stages"][stage] = {"valid_loss": loss, **measured}
    return found


def constants(results, variant: str, stage: str) -> np.ndarray:
    """The time constants of all units, a row a seed; one that is infinite came through JSON as null."""
    found = [r["stages"][stage]["time_constants"] for r in results if r["variant"] == variant]
    return np.array([[np.inf if tau is None else tau for tau in row] for row in found])


def to_rows(results) -> list[dict]:
    """A line for every network and stage."""
    rows = []
    for result in results:
        for stage, found in result["stages"].items():
            tau = constants([result], result["variant"], stage)[0]
            quantiles = dict(zip(("10", "50", "90"), np.quantile(tau, SHARES), strict=True))
            rows.append(
                {
                    "variant": result["variant"],
                    "seed": result["seed"],
                    "stage": stage,
                    **{f"tau_{share}": float(value) for share, value in quantiles.items()},
                    "tau_longest": float(tau.max()),
                    "units_above_10": float(np.mean(tau > 10)),
                    f"units_above_{LONG}": float(np.mean(tau > LONG)),
                    **{f"mean_{name.split('.')[-1]}": gate["mean"] for name, gate in found["gates"].items()},
                    "saturated": found["saturation"][0],
                    "valid_loss": found["valid_loss"],
                }
            )
    return rows


def draw_forced(kept: dict):
    """The share of a memory left, against steps, by forget bias."""
    figure = Figure(figsize=(8.0, 4.4), layout="constrained")
    axes, ends, steps = figure.add_subplot(), [], np.arange(1, FORCED_STEPS + 1)
    axes.set(xscale="log", yscale="log", xlim=(1, FORCED_STEPS), ylim=(1e-4, 1.6))
    axes.set(xlabel="steps", ylabel="share of c that is left (input gate 0)")
    for (bias, shares), colour in zip(kept.items(), SERIES, strict=False):
        shares = np.array(shares)
        axes.plot(steps, shares, color=colour, linewidth=2)
        tau = float(time_constant(jax.nn.sigmoid(float(bias))))
        name = (
            f"bias {float(bias):g}: f = 1"
            if np.isinf(tau)
            else f"bias {float(bias):g}\n{tau:,.{0 if tau > 100 else 1}f} steps"
        )
        if shares[-1] > 1e-3:
            ends.append((steps[-1], shares[-1], name.replace("\n", ": "), colour))
        else:
            x = np.flatnonzero(shares > 1e-3)[-1] + 1
            axes.annotate(name, (x, 1e-3), (5, 2), textcoords="offset points", color=colour, fontsize=8)
    clean(axes)
    label_ends(axes, ends)
    return figure


def draw_constants(results):
    """Of each variant, the share of units with a longer time constant, before and after training."""
    figure = Figure(figsize=(11.0, 6.6), layout="constrained")
    for axes, variant in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, VARIANTS, strict=True):
        colours = ("0.45", COLOURS[VARIANTS[variant]["cell"]])
        for stage, colour, at in zip(STAGES, colours, (0.8, 0.25), strict=True):
            found = np.sort(constants(results, variant, stage), axis=1)
            share = 1 - np.arange(found.shape[1]) / found.shape[1]
            middle = np.exp(np.mean(np.log(np.clip(found, 1e-3, 1e6)), axis=0))
            axes.plot(middle, share, color=colour, linewidth=2)
            axes.fill_betweenx(share, found.min(0), np.clip(found.max(0), 0, 1e6), color=colour, alpha=0.2, linewidth=0)
            place = np.argmin(np.abs(share - at))
            axes.annotate(
                stage, (middle[place], share[place]), (6, 2), textcoords="offset points", color=colour, fontsize=9
            )
        axes.set(xscale="log", xlim=(0.05, 1000), ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_title(variant, loc="left")
        clean(axes)
    for axes in figure.axes[2:]:
        axes.set_xlabel("time constant of the gate that keeps (steps)")
    for axes in figure.axes[::2]:
        axes.set_ylabel("share of units\nwith a longer one")
    return figure


def draw_gates(results):
    """Histograms of the values of every gate, before training above and after it below."""
    figure = Figure(figsize=(13.0, 5.6), layout="constrained")
    grid = figure.subplots(2, len(VARIANTS), sharex=True, sharey="row")
    centres = (EDGES[1:] + EDGES[:-1]) / 2
    colours = dict(zip(("forget", "update", "input", "output", "reset"), (*SERIES[:1], *SERIES), strict=False))
    for column, variant in enumerate(VARIANTS):
        own = [r["stages"] for r in results if r["variant"] == variant]
        for axes, stage in zip(grid[:, column], STAGES, strict=True):
            for place, name in enumerate(own[0][stage]["gates"]):
                heights = np.array([stages[stage]["gates"][name]["histogram"] for stages in own])
                gate = name.split(".")[-1]
                axes.plot(centres, heights.mean(0), color=colours[gate], linewidth=1.6)
                axes.fill_between(centres, heights.min(0), heights.max(0), color=colours[gate], alpha=0.2, linewidth=0)
                axes.text(0.02, 0.95 - 0.09 * place, gate, color=colours[gate], va="top", transform=axes.transAxes)
            values = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
            axes.set_xticks([np.log(v / (1 - v)) for v in values], [f"{v:g}" for v in values], rotation=60)
            axes.set_xlim(-8, 8)
            clean(axes)
        grid[0, column].set_title(variant, loc="left")
        grid[1, column].set_xlabel("value of the gate (logit scale)")
    for axes, stage in zip(grid[:, 0], STAGES, strict=True):
        axes.set_ylabel(f"{stage}:\nshare of values in a bin")
    return figure


def answer(forced, results) -> str:
    """What was found, in one sentence made of the numbers."""
    exact = all(f["largest_change"] == 0 and f["log_singular_values"] == [0, 0] for f in forced.values())
    largest = max(f["largest_change"] for f in forced.values())
    first = (
        f"An LSTM with forget gate 1 and input gate 0 and a GRU with z = 1 are {'' if exact else 'not '}unchanged to "
        f"the last bit after {FORCED_STEPS:,} steps"
        + (", and the derivative by the state is one in every direction" if exact else f" (changes: {largest:.1g})")
    )
    parts = []
    for variant in VARIANTS:
        before, after = (constants(results, variant, stage) for stage in STAGES)
        parts.append(
            f"{variant}: {np.median(before):.1f} to {np.median(after):.1f} steps, "
            f"90 % quantile {np.quantile(after, 0.9):.2g}, longest {after.max():.2g}, {np.mean(after > LONG):.1%} of "
            f"units above {LONG}"
        )
    return f"{first}; training moves the median unit's time constant, in the {'; in the '.join(parts)}."


def main() -> None:
    """Forces gates, trains and measures, writes the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gates")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/gates"))
    arguments = parser.parse_args()
    size = {"hidden": 128, "steps": 400, "seeds": 3, "texts": 8, "length": 600, "warm_up": 100}
    if arguments.smoke:
        size = {"hidden": 8, "steps": 4, "seeds": 1, "texts": 2, "length": 40, "warm_up": 10}
    runs = arguments.runs / ("smoke" if arguments.smoke else "full")
    corpus = lm_jax.load_corpus()
    forced = remember(runs / "forced.json", functools.partial(forced_cells, corpus, size["hidden"]))
    kept = remember(runs / "biases.json", biases_alone)
    results = []
    for place, variant in enumerate(VARIANTS):
        for seed in range(size["seeds"]):
            compute = functools.partial(network, variant, seed, corpus, size)
            results.append(remember(runs / f"{place}-{seed}.json", compute))
    rows, found = to_rows(results), answer(forced, results)
    write_study(
        arguments.out,
        "gates",
        title="What gates keep, and for how long",
        question="Can a gated cell keep its state for ever, and how long do those of a trained language model keep it?",
        expected=" ".join(__doc__.partition("Expected: ")[2].partition("\n\n")[0].split()),
        answer=found,
        command="python experiments/gates.py" + (" --smoke" if arguments.smoke else ""),
        results={"forced": forced, "size": size, "networks": results, "share_left_by_forget_bias": kept},
        rows=rows,
        figures=[
            Picture("gates_constants", draw_constants(results), caption_of(results, size)),
            Picture("gates_values", draw_gates(results), "The values of every gate; bands are the range over seeds."),
            Picture(
                "gates_forced",
                draw_forced(kept),
                "An LSTM's c with input gate 0 and a constant forget gate: its bias and time constant.",
            ),
        ],
    )
    print(found)


def caption_of(results, size) -> str:
    """What the picture of the time constants is made of."""
    return (
        f"Time constants of the units of networks of {size['hidden']} units, {size['seeds']} seed(s) (line: geometric "
        f"mean, band: range), {size['steps']} training steps by character; from "
        f"{results[0]['stages'][STAGES[0]]['values']:,} values of the gate in held-out text for each."
    )


if __name__ == "__main__":
    main()
