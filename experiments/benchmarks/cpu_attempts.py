"""What could make two LSTM layers on a CPU as fast as torch's?

    pip install torch==2.13.0                               in an environment of its own
    python experiments/benchmarks/cpu_attempts.py           about 8 minutes of one core
    python experiments/benchmarks/cpu_attempts.py --only forward    one piece of work; recorded is what --runs has then

Every attempt computes the same gradients as lm_jax's default, in another order, by other products or with other options
of the compiler; all are timed by turns in one process, beside torch. The process has one core and one thread, and what
is measured is the time that the core worked for it (`time.process_time`), so that other work on the machine counts
little. Least times over --rounds. An attempt is worth its code if it gains more than 5 % at every size. Merged already
in lm_jax: the input's share of all steps is one product, the gradient of the recurrent weights is one over all steps.
jaxlib 0.10.2 takes the options of oneDNN and XNNPACK and compiles the same program, so the row `oneDNN` shows how far
two times of one program lie apart; it knows no other runtime than that of thunks. YNN is the library of products that
it uses by default.

`products` are the matrix products alone, as XLA and as NumPy's OpenBLAS compute them; lm_jax's time with the one in
place of the other bounds what a call of OpenBLAS from the program (`jax.ffi`) could give. The call itself needs a
compiled function between the two, which a package without compiled parts cannot have.

Expected: XLA's products inside the loop lose to torch's, so another form or another library for them gains, and merging
steps or layers does not.
"""

import functools
import importlib.util
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import metadata
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.cpu_attempts_findings import findings
from experiments.benchmarks.peers import two_layers
from experiments.benchmarks.peers.products import products_of, repeated
from experiments.benchmarks.peers.work import Layers
from experiments.harness import Study, integer
from experiments.harness.timing import by_turns, minima
from lm_jax.cells import lstm, stacked
from lm_jax.machine import reuse_memory
from lm_jax.strict_json import to_json


STUDY = Study(
    __doc__,
    __file__,
    {"--rounds": integer(4), "--only": {"default": "", "help": "measures only work whose name holds this"}},
)
HAS_TORCH = importlib.util.find_spec("torch") is not None
CASES = {
    "2x200 forward": Layers("lstm", 2, 200, 20, 35, "forward"),
    "2x200": Layers("lstm", 2, 200, 20, 35),
    "2x650": Layers("lstm", 2, 650, 20, 35),
    "2x512 B64 T128": Layers("lstm", 2, 512, 64, 128),
}
SMOKE_CASES = {"2x8": Layers("lstm", 2, 8, 2, 4)}
SECONDS = 0.1  # of an attempt in a round, or as long as one call
NO_YNN = {"xla_cpu_experimental_ynn_fusion_type": ""}
YNN = "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_ELTWISE"


class Attempt(NamedTuple):
    """build: work -> (params of a stack, xs) -> ys; options: of XLA's compiler."""

    build: Callable[[Layers], Callable]
    options: Mapping[str, str | bool] = MappingProxyType({})


def stack_of(work: Layers, recurrence: str = "fused"):
    """lm_jax's layers on an engine."""
    return stacked([lstm(work.units, work.units, recurrence=recurrence) for _ in range(work.layers)])


def library(work: Layers, recurrence: str = "fused") -> Callable:
    """lm_jax as it is."""
    stack = stack_of(work, recurrence)
    return lambda params, xs: stack.unroll(params, stack.initial_carry(params, xs.shape[1:-1]), xs)[1]


def blocks(work: Layers) -> Callable:
    """Blocks of 16 steps, or of 7 where the sequence is not made of such, or of 2."""
    return two_layers.in_blocks(stack_of(work), next(n for n in (16, 7, 2) if work.steps % n == 0))


ATTEMPTS = {
    "lm_jax": Attempt(library),
    "plain scan": Attempt(lambda work: library(work, "scan")),
    "wavefront": Attempt(lambda work: two_layers.wavefront()),
    "blocks of steps": Attempt(blocks),
    "unroll 4": Attempt(lambda work: two_layers.one_by_one(unroll=4)),
    "adjoints [H, B]": Attempt(lambda work: two_layers.one_by_one(two_layers.TURNED, turned=True)),
    "without YNN": Attempt(library, NO_YNN),
    "adjoints [H, B] without YNN": Attempt(lambda work: two_layers.one_by_one(two_layers.TURNED, turned=True), NO_YNN),
    "YNN for all": Attempt(library, {"xla_cpu_experimental_ynn_fusion_type": YNN}),
    "oneDNN": Attempt(library, {"xla_cpu_use_onednn": True, "xla_cpu_experimental_onednn_custom_call": True}),
    "fast math": Attempt(library, {"xla_cpu_enable_fast_math": True}),
    "vectors of 512 bits": Attempt(library, {"xla_cpu_prefer_vector_width": "512"}),
}


def compiled(work: Layers, attempt: Attempt, params, xs, weights) -> Callable | None:
    """The compiled program; None where this compiler does not know the options."""
    unroll = attempt.build(work)

    def loss(params, xs, weights):
        return jnp.sum(weights * unroll(params, xs))

    function = jax.grad(loss, (0, 1)) if work.direction == "both" else loss
    try:
        program = jax.jit(function).lower(params, xs, weights).compile(compiler_options=dict(attempt.options))
    except jax.errors.JaxRuntimeError as refusal:
        print(f"{attempt.options}: {refusal}")
        return None
    return lambda: jax.block_until_ready(program(params, xs, weights))


def seconds_of(call: Callable) -> float:
    """What the core works for one call, in seconds: the least of as many calls as take SECONDS."""
    started, taken = time.process_time(), []
    while not taken or time.process_time() - started < SECONDS:
        before = time.process_time()
        call()
        taken.append(time.process_time() - before)
    return min(taken)


def largest_difference(found, expected) -> float:
    """The largest difference of two pytrees, as a share of the largest number of the array."""
    shares = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b))), found, expected)
    return max(jax.tree.leaves(shares))


def time_case(work: Layers, rounds: int) -> dict:
    """Milliseconds and differences from the plain scan by attempt, milliseconds of torch and of the products."""
    stack = stack_of(work)
    params = stack.init(jax.random.key(0))
    shape = (2, work.steps, work.batch, work.units)
    xs, weights = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    calls = {name: compiled(work, attempt, params, xs, weights) for name, attempt in ATTEMPTS.items()}
    calls = {name: call for name, call in calls.items() if call is not None}
    expected = calls["plain scan"]()
    differences = {name: largest_difference(call(), expected) for name, call in calls.items()}
    calls |= _torch(work) if HAS_TORCH else {}
    return {"ms": _least_ms(calls, rounds), "difference": differences, "products_ms": products(work, rounds)}


def _torch(work):
    import torch

    from experiments.benchmarks.peers import torch_peer

    torch.set_num_threads(1)
    build = functools.partial(torch_peer.layers, work)
    return {"torch": build().run, "torch compiled": build(compiled=True).run}


def _least_ms(calls, rounds):
    times = by_turns({name: functools.partial(seconds_of, call) for name, call in calls.items()}, rounds)
    return {name: 1e3 * value for name, value in minima(times).items()}


def products(work: Layers, rounds: int) -> dict[str, float]:
    """Milliseconds of the products of a piece of work, by library."""
    ways = {"XLA": {}, "XLA without YNN": NO_YNN, "OpenBLAS": None}
    total = dict.fromkeys(ways, 0.0)
    for shape, count in Counter(products_of(work)).items():
        calls = {way: _product(*shape, options) for way, options in ways.items()}
        least = _least_ms(calls, rounds)
        total = {way: total[way] + count * least[way] for way in ways}
    return total


def _product_program(rows, inner, columns, times, options):
    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((rows, inner), (inner, columns))]
    return jax.jit(repeated(inner, columns, times)).lower(*shapes).compile(compiler_options=options)


def _product(rows, inner, columns, times, options):
    left = np.ones((rows, inner), np.float32)
    right = np.full((inner, columns), 1 / inner, np.float32)
    if options is None:
        return lambda: [left @ right for _ in range(times)]
    program = _product_program(rows, inner, columns, times, options)
    left, right = jnp.asarray(left), jnp.asarray(right)
    return lambda: jax.block_until_ready(program(left, right))


def one_core() -> None:
    """Leaves this process one core, the first that it has; before JAX starts its threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def run(arguments) -> dict:
    """Measures what --only names and is not yet in the folder of --runs; the results are all that is there then."""
    one_core()
    reuse_memory()
    cases = SMOKE_CASES if arguments.smoke else CASES
    rounds = 1 if arguments.smoke else arguments.rounds
    arguments.runs.mkdir(parents=True, exist_ok=True)
    results = {}
    for name, work in cases.items():
        kept = arguments.runs / f"{name}.json"
        if arguments.only in name and (arguments.smoke or not kept.exists()):
            kept.write_text(to_json(time_case(work, rounds)))
        if kept.exists():
            results[name] = json.loads(kept.read_text())
            print(name, {attempt: f"{ms:.2f} ms" for attempt, ms in results[name]["ms"].items()}, flush=True)
    return {
        "torch": metadata.version("torch") if HAS_TORCH else None,
        "rounds": rounds,
        "work": {name: cases[name]._asdict() for name in results},
        "results": results,
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
