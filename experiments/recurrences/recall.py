"""Which recurrences can look up what they were told: the value that stood beside a key, with more and more pairs?

    python experiments/recurrences/recall.py     about 45 minutes on 1 CPU core
    python experiments/recurrences/recall.py lstm mlstm   some of the networks

Associative recall with many queries (Arora et al. 2023, arXiv:2312.04927): a text tells pairs of a key and a value, 4
to 32 of them, then gives the keys in another order, and after each its value is asked for. Networks of two residual
blocks, each around one cell, and a Transformer of two layers, of three sizes. Counted is what the carry of a text
holds, in numbers. AdamW, at most 750 steps of 128 texts of 4 pairs, then 750 of 32 texts of a number of pairs that is
drawn anew for every batch (without the short texts first, attention with 64 units had not found out within 1,750 steps
what is asked for); a network that is right 99 times in 100 with 32 pairs is ready before. No block has the short
convolution that published matrix memories put before their keys and values: what stood one token before must be learnt.

Expected: what can be recalled grows with the state. Matrix memories (mLSTM, gated DeltaNet), which store products of
keys and values, recall 32 pairs, and so does attention, which keeps all of the text; RNN, GRU and LSTM, whose carry is
a vector, do not at any of the sizes, nor do the linear recurrences.
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import Study
from experiments.recurrences.architectures import OPTION, build, chosen, parameters, state_size
from experiments.recurrences.learning import Plan, Problem, learn, right
from experiments.recurrences.recall_findings import PAIRS, findings
from lm_jax.report.study import remember


KEYS = VALUES = 64
SIZES, BATCH, TEXTS = (16, 32, 64), 32, 256
READY = 0.99
PLAN, SMOKE_PLAN = Plan(1500, 250), Plan(4, 2)
STUDY = Study(
    __doc__,
    __file__,
    {"networks": OPTION, "--seed": {"type": int, "default": 0}},
)


def tell(pairs: int, batch: int, key: Any) -> Problem:
    """Texts [3 pairs, B]: k_1 v_1 ... k_n v_n, then the keys in another order, each asked for its value."""
    draws = jax.vmap(lambda one: _keys_and_values(pairs, one))(jax.random.split(key, batch))
    keys, values, order = (array.T for array in draws)
    told = jnp.stack([keys, KEYS + values], axis=1).reshape(2 * pairs, batch)
    asked = jnp.take_along_axis(keys, order, axis=0)
    answers = jnp.take_along_axis(KEYS + values, order, axis=0)
    before = jnp.zeros((2 * pairs, batch))
    return Problem(
        jnp.concatenate([told, asked]),
        jnp.concatenate([before.astype(jnp.int32), answers]),
        jnp.concatenate([before, jnp.ones((pairs, batch))]),
    )


def _keys_and_values(pairs, key):
    key_k, key_v, key_o = jax.random.split(key, 3)
    keys = jax.random.permutation(key_k, KEYS)[:pairs]
    return keys, jax.random.randint(key_v, (pairs,), 0, VALUES), jax.random.permutation(key_o, pairs)


def draw(batch: int, key: Any) -> Problem:
    """Texts of one number of pairs, drawn from PAIRS; shorter ones have blanks behind that nothing is asked of."""
    key_pairs, key = jax.random.split(key)
    longest = 3 * max(PAIRS)

    def padded(pairs):
        def make(key):
            return jax.tree.map(
                lambda a: jnp.pad(a, ((0, longest - 3 * pairs), (0, 0))),
                tell(pairs, batch, key),
            )

        return make

    return jax.lax.switch(jax.random.randint(key_pairs, (), 0, len(PAIRS)), [padded(n) for n in PAIRS], key)


def measure(network: str, size: int, seed: int, smoke: bool) -> dict[str, Any]:
    """Trains one network, and measures the share of right values by the number of pairs."""
    print(f"{network}, {size} units, seed {seed}", flush=True)
    plan, batch = (SMOKE_PLAN, 4) if smoke else (PLAN, BATCH)
    model = build(network, KEYS + VALUES, size, context=3 * max(PAIRS))
    answer = jax.jit(jax.vmap(functools.partial(right, model), in_axes=(0, None)))
    tests = {pairs: tell(pairs, batch if smoke else TEXTS, jax.random.key(1000)) for pairs in PAIRS}
    lessons = [functools.partial(tell, min(PAIRS), 4 * batch), functools.partial(draw, batch)]
    history, shares = [], {}
    for step, params, losses in learn(model, lessons, plan, [seed]):
        shares = {
            pairs: float(np.asarray(answer(params, test))[0, 2 * pairs :].mean()) for pairs, test in tests.items()
        }
        history.append([step, float(losses[0]), *shares.values()])
        if min(shares.values()) >= READY:
            break
    found = {"network": network, "size": size, "seed": seed, "parameters": parameters(model)}
    return found | {"state": state_size(model), "history": history, "shares": shares}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains every network at every size."""
    wanted = chosen(arguments.networks, arguments.smoke)
    measured = [
        remember(
            arguments.runs / f"{network}-{size}-{arguments.seed}.json",
            functools.partial(measure, network, size, arguments.seed, arguments.smoke),
        )
        for network in wanted
        for size in (SIZES[:1] if arguments.smoke else SIZES)
    ]
    return {"measured": measured}


if __name__ == "__main__":
    STUDY.main(run, findings)
