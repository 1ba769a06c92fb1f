"""Which recurrences can follow a state: parity, sums modulo 5, and whether a string ends as it began?

    python experiments/recurrences/state_tracking.py     about 40 minutes on 1 CPU core
    python experiments/recurrences/state_tracking.py lstm mlstm   some of the networks

Networks of two residual blocks, each around one cell, and a Transformer of two layers, all of about 20,000 parameters,
read strings and say after every token what the state is: the parity of the ones so far (parity), the sum of the digits
so far modulo 5 (sum modulo 5), whether the last bit is the first one (even pairs: the number of changes between
neighbours is even). They learn from strings of 3 to 40 tokens, and are tested on strings of 41 to 256 (the lengths of
Beck et al. 2024, arXiv:2405.04517, appendix; there only the last answer is asked for, which is harder to learn, of
larger networks and over more steps). AdamW with a learning rate of 0.01, at most 1,500 steps of 32 strings; a network
that gives 99.9 % right answers on the longer strings is ready before. Three seeds.

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
SHORTEST, LONGEST, BATCH, PARAMETERS, STRINGS = 3, 256, 32, 20_000, 64
READY = 0.999
PLAN, SMOKE_PLAN = Plan(1500, 125, rate=1e-2), Plan(4, 2)
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


def lesson(task: str, batch: int, key: Any) -> Problem:
    """Strings [SEEN, B] of the training, asked of up to a length of each string's own, SHORTEST to SEEN tokens."""
    key_string, key_length = jax.random.split(key)
    strings = draw(task, SEEN, batch, key_string)
    lengths = jax.random.randint(key_length, (batch,), SHORTEST, SEEN + 1)
    return strings._replace(asked=(jnp.arange(SEEN)[:, None] < lengths).astype(jnp.float32))


def measure(network: str, task: str, seeds: int, smoke: bool) -> list[dict[str, Any]]:
    """Trains a network a seed, and measures the share of right answers at every length."""
    print(f"{network}, {task}", flush=True)
    plan, batch, wanted = (SMOKE_PLAN, 4, 2000) if smoke else (PLAN, BATCH, PARAMETERS)
    size = hidden_size(network, TASKS[task], wanted)
    model = build(network, TASKS[task], size, context=LONGEST)
    learner = build(network, TASKS[task], size, context=SEEN)  # a cache as long as its strings, and quicker
    test = draw(task, LONGEST, batch if smoke else STRINGS, jax.random.key(1000))
    answer = jax.jit(jax.vmap(lambda params: right(model, params, test).mean(axis=1)))
    found = [
        {"network": network, "task": task, "seed": seed, "parameters": parameters(model), "state": state_size(model)}
        | {"history": [], "by_length": np.zeros(LONGEST)}
        for seed in range(seeds)
    ]
    ready = [False] * seeds
    for step, params, losses in learn(learner, [functools.partial(lesson, task, batch)], plan, range(seeds)):
        for seed, by_length in enumerate(np.asarray(answer(params))):
            if not ready[seed]:
                shares = [float(by_length[:SEEN].mean()), float(by_length[SEEN:].mean())]
                found[seed]["history"].append([step, float(losses[seed]), *shares])
                found[seed]["by_length"], ready[seed] = by_length, min(shares) >= READY
        if all(ready):
            break
    return found


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains every network on every task."""
    seeds = 1 if arguments.smoke else arguments.seeds
    measured = [
        one
        for network in chosen(arguments.networks, arguments.smoke)
        for task in TASKS
        for one in remember(
            arguments.runs / f"{network}-{task.replace(' ', '-')}-{seeds}.json",
            functools.partial(measure, network, task, seeds, arguments.smoke),
        )
    ]
    return {"measured": measured, "seen": SEEN, "longest": LONGEST}


if __name__ == "__main__":
    STUDY.main(run, findings)
