"""Can a gated cell keep its state for ever, and how long do those of a trained language model keep it?

    python experiments/gradients/gates.py     about 5 minutes on 2 CPU cores

By force: an LSTM with forget gate 1 and input gate 0, and a GRU with z = 1 (the lecture's update gate 0, u = 1 - z),
read 1,000 characters. Learned: GRU, and LSTM with forget bias 0, 1 and 3, three seeds each; on held-out text, the
values of every gate before and after training, and the time constants they imply: a unit that keeps a share f_t of
its state at step t keeps exp(-t/tau) of it, tau = -1 / mean log f_t.

Expected: the forced cells are unchanged to the last bit after 1,000 steps, and the derivative by the state is one in
every direction. Before training the constants are those of the biases: 1.4 steps for 0 and for the GRU, 3.2 for 1,
20.6 for 3. Training spreads them over units, most short and a few far longer than any bias gives, the longest where
the forget bias began at 3.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.gradients.gates_figures import EDGES, FORCED_STEPS, STAGES, VARIANTS, time_constant
from experiments.gradients.gates_findings import SHARES, findings
from experiments.harness import Study
from experiments.harness.stages import states
from lm_jax import analysis
from lm_jax.cells import lstm
from lm_jax.config import RecurrentConfig, TrainConfig, from_flat
from lm_jax.data import load_corpus
from lm_jax.inference import likelihood
from lm_jax.models import from_config
from lm_jax.report.study import remember
from lm_jax.runs.setup import set_up
from lm_jax.tasks import task_of


STUDY = Study(__doc__, __file__)
KEEPS = {"gru": "gate.update", "lstm": "gate.forget"}
FORCED_BIASES = (0.0, 1.0, 3.0, 5.0, 7.0, 200.0)
FULLY = 200.0  # sigmoid(200) is 1 and sigmoid(-200) is 0 in float32
SIZE = {"hidden": 128, "steps": 400, "seeds": 3, "texts": 8, "length": 600, "warm_up": 100}
SMOKE_SIZE = {"hidden": 8, "steps": 4, "seeds": 1, "texts": 2, "length": 40, "warm_up": 10}


def forced_cells(corpus, size) -> dict:
    """What is left after every step of an LSTM's c and a GRU's h with gates forced by biases of 200; their Jacobian."""
    tokens = corpus.valid[: FORCED_STEPS + 1]
    found = {}
    for name, block, leaf in (("LSTM", {0: -FULLY, 1: FULLY}, "c"), ("GRU", {1: FULLY}, "h")):
        settings = {"cell": name.lower(), "recurrence": "scan", "hidden_size": size}
        model = from_config(from_flat(RecurrentConfig, settings), len(corpus.vocabulary))
        params = model.init(jax.random.key(0))
        gates = params.cell.b.reshape(-1, size)
        for gate, bias in block.items():
            gates = gates.at[gate].set(bias)
        params = params.replace(cell=params.cell.replace(b=gates.ravel()))
        drawn = jax.tree.map(lambda a: jax.random.normal(jax.random.key(1), a.shape), model.initial_carry(params, (1,)))
        carry, _ = model.unroll(params, drawn, tokens[:FORCED_STEPS, None])
        change = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), carry, drawn)
        last = FORCED_STEPS - 1
        logs = analysis.step_jacobians(model, params, tokens, leaf=leaf, lag=last, positions=[last]).log_singular_values
        found[name] = {
            "steps": FORCED_STEPS,
            "largest_change": getattr(change, leaf) if hasattr(change, leaf) else change,
            "log_singular_values": [float(logs.min()), float(logs.max())],
        }
    return found


def biases_alone() -> dict:
    """The share of c left after t steps of an LSTM whose gates are their biases: f^t."""
    model = lstm(1, 1)
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


def measure(model, params, texts, warm_up: int, keeps: str) -> dict:
    """Gate values, and the time constants of units, over all steps of the texts but the first."""
    gates = {name: v[warm_up:].astype(np.float64) for name, v in analysis.gate_values(model, params, texts).items()}

    def summary(v):
        logits = np.clip(np.log(v) - np.log1p(-v), EDGES[0], EDGES[-1])
        histogram = np.histogram(logits, EDGES)[0] / v.size
        return {"mean": v.mean(), "quantiles": np.quantile(v, SHARES), "histogram": histogram}

    with np.errstate(divide="ignore"):
        found = {name: summary(v) for name, v in gates.items()}
        units = time_constant(np.exp(np.mean(np.log(gates[keeps]), axis=(0, 1))))
    return {
        "gates": found,
        "values": gates[keeps].size,
        "time_constants": np.sort(units),
        "time_constants_of_values": time_constant(np.quantile(gates[keeps], SHARES)),
        "saturation": analysis.saturation(model, params, texts).share,
        "radius": analysis.recurrent_radius(model, params),
    }


def network(variant: str, seed: int, corpus, size) -> dict:
    """One network, measured before and after training."""
    print(f"{variant}, seed {seed}", flush=True)
    settings = {"recurrence": "scan", "hidden_size": size["hidden"], **VARIANTS[variant]}
    config = from_flat(TrainConfig, {**settings, "steps": size["steps"], "seed": seed})
    setup = set_up(task_of(config), config, corpus, size["steps"])
    starts = np.linspace(0, len(corpus.valid) - size["length"], size["texts"]).astype(int)
    texts = np.stack([corpus.valid[start : start + size["length"]] for start in starts], axis=1)
    found = {"variant": variant, "seed": seed, "stages": {}}
    for stage, (_, params) in zip(STAGES, states(setup, (0, size["steps"])), strict=True):
        loss = likelihood(setup.model, params, corpus.valid, corpus.vocabulary.eol_id).cross_entropy
        measured = measure(setup.model, params, texts, size["warm_up"], KEEPS[config.model.cell.kind])
        found["stages"][stage] = {"valid_loss": loss, **measured}
    return found


def run(arguments) -> dict:
    """Forces gates, trains and measures."""
    size = SMOKE_SIZE if arguments.smoke else SIZE
    corpus = load_corpus()
    forced = remember(arguments.runs / "forced.json", functools.partial(forced_cells, corpus, size["hidden"]))
    kept = remember(arguments.runs / "biases.json", biases_alone)
    networks = [
        remember(arguments.runs / f"{place}-{seed}.json", functools.partial(network, variant, seed, corpus, size))
        for place, variant in enumerate(VARIANTS)
        for seed in range(size["seeds"])
    ]
    return {"forced": forced, "size": size, "networks": networks, "share_left_by_forget_bias": kept}


if __name__ == "__main__":
    STUDY.main(run, findings)
