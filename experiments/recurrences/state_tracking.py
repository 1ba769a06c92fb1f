"""Which recurrences can follow a state: parity, sums modulo 5, and whether a string ends as it began?

    python experiments/recurrences/state_tracking.py     about 60 minutes on 2 CPU cores
    python experiments/recurrences/state_tracking.py lstm mlstm   some of the networks

Networks of two residual blocks, each around one cell, and a Transformer of two layers, all of about 20,000 parameters,
read strings and say after every token what the state is: the parity of the ones so far (parity), the sum of the digits
so far modulo 5 (sum modulo 5), whether the last bit is the first one (even pairs: the number of changes between
neighbours is even). They learn from strings of up to 40 tokens, and are tested on strings of 41 to 256 (the lengths of
Beck et al. 2024, arXiv:2405.04517, appendix; there only the last answer is asked for, which is harder to learn, of
larger networks and over ten times as many steps). AdamW, at most 2,000 steps of 32 strings; a network that gives 99.9 %
right answers on the longer strings is ready before. Three seeds.

Expected: a linear recurrence with gates between 0 and 1 cannot solve parity, since its state cannot change sign at
every one (Grazzi et al. 2024, arXiv:2411.12537); so minGRU, minLSTM, LRU, RG-LRU, mLSTM and the gated DeltaNet with
beta to 1 fail on the longer strings, and so does attention, which has no state. RNN, GRU, LSTM, sLSTM and the gated
DeltaNet with beta to 2, whose eigenvalues may be negative, solve it. Even pairs, for which the first bit and the last
one are enough, are solved by all but the mLSTM and attention.
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import Study, integer
from experiments.recurrences.architectures import OPTION, build, chosen, hidden_size, parameters, state_size
from experiments.recurrences.learning import Plan, Problem, learn, right
from experiments.recurrences.state_tracking_findings import SEEN, findings
from lm_jax.report.study import remember


TASKS = {"parity": 2, "sum modulo 5": 5, "even pairs": 2}  # tokens
LONGEST, BATCH, PARAMETERS, STRINGS = 256, 32, 20_000, 64
READY = 0.999
PLAN, SMOKE_PLAN = Plan(2000, 250), Plan(4, 2)
STUDY = Study(
    __doc__,
    __file__,
    {"networks": OPTION, "--seeds": integer(3)},
)


def draw(task: str, length: int, batch: int, key: Any) -> Problem:
    """Strings [T, B] of a task, with the state after every token."""
    tokens = jax.random.randint(key, (length, batch), 0, TASKS[task])
    answers = tokens == tokens[0] if task == "even pairs" else jnp.cumsum(tokens, axis=0) % TASKS[task]
    return Problem(tokens, answers.astype(jnp.int32), jnp.ones(tokens.shape))


def measure(network: str, task: str, seed: int, smoke: bool) -> dict[str, Any]:
    """Trains one network, and measures the share of right answers at every length."""
    print(f"{network}, {task}, seed {seed}", flush=True)
    plan, batch, wanted = (SMOKE_PLAN, 4, 2000) if smoke else (PLAN, BATCH, PARAMETERS)
    size = hidden_size(network, TASKS[task], wanted)
    model = build(network, TASKS[task], size, context=LONGEST)
    learner = build(network, TASKS[task], size, context=SEEN)  # a cache as long as its strings, and quicker
    test = draw(task, LONGEST, batch if smoke else STRINGS, jax.random.key(1000))
    answer = jax.jit(functools.partial(right, model))
    history, by_length = [], np.zeros(LONGEST)
    for step, params, loss in learn(learner, functools.partial(draw, task, SEEN, batch), plan, jax.random.key(seed)):
        by_length = np.asarray(answer(params, test)).mean(axis=1)
        shares = [float(by_length[:SEEN].mean()), float(by_length[SEEN:].mean())]
        history.append([step, loss, *shares])
        if min(shares) >= READY:
            break
    return {
        "network": network,
        "task": task,
        "seed": seed,
        "parameters": parameters(model),
        "state": state_size(model),
        "history": history,
        "by_length": by_length,
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains every network on every task."""
    wanted = chosen(arguments.networks, arguments.smoke)
    seeds = 1 if arguments.smoke else arguments.seeds
    measured = {
        (network, task, seed): remember(
            arguments.runs / f"{network}-{task.replace(' ', '-')}-{seed}.json",
            functools.partial(measure, network, task, seed, arguments.smoke),
        )
        for seed in range(seeds)
        for network in wanted
        for task in TASKS
    }
    return {"measured": list(measured.values()), "seen": SEEN, "longest": LONGEST}


if __name__ == "__main__":
    STUDY.main(run, findings)
