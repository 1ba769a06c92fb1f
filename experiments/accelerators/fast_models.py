"""How fast are whole things: training steps, eight seeds at once, generation, the gradient map, a training."""

import functools
import inspect
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.accelerators.cases import Case
from experiments.accelerators.fast_layers import has_torch, torch_on
from experiments.accelerators.measuring import (
    Cost,
    bound_by,
    compiled,
    cost_over_time,
    peak_mib,
    timed_once,
    times_of,
)
from experiments.accelerators.precision import DEFAULTS, FORMS
from experiments.accelerators.right_bits import settings_of
from experiments.accelerators.right_cells import engines
from experiments.benchmarks.peers import ours
from experiments.benchmarks.peers.work import Generation, Step
from experiments.harness.timing import stepper
from lm_jax.analysis.gradient_flow import flow_on_device
from lm_jax.cells import lstm
from lm_jax.config import TrainConfig, from_flat
from lm_jax.inference import generate
from lm_jax.models import recurrent_lm
from lm_jax.runs.open import open_run
from lm_jax.runs.train import train
from lm_jax.training.side_by_side import vmapped


STEPS = {
    "step WikiText-2": Step(2, 650, 33_278, True, 0.5, 20, 35),
    "step medium": Step(2, 650, 10_000, False, 0.5, 20, 35),
    "step small": Step(2, 200, 10_000, False, 0.0, 20, 35),
}
SMOKE_STEPS = {"step": Step(1, 8, 12, True, 0.5, 2, 3)}
ONE_BY_ONE = 10  # training steps of a dispatch


def step_case(name: str, work: Step, engine: str, form: str, ceilings, atomics: bool = False) -> Case:
    """A training step of a language model, in dispatches of ten; `atomics`: the order of sums is left to chance."""
    precision, compute_dtype, _ = FORMS[form]
    shown = f"{engine}, atomic sums" if atomics else engine

    def run():
        with jax.default_matmul_precision(precision):
            train_steps, streams, create = ours.training(work, engine, compute_dtype)
            state = create(0)
            if atomics:
                train_steps = jax.jit(train_steps.__wrapped__, donate_argnums=0)
            seconds, program = timed_once(lambda: train_steps.lower(state, streams, ONE_BY_ONE).compile())
        times = times_of(stepper(lambda state: program(state, streams, ONE_BY_ONE), state))
        per_step = {key: times[key] / ONE_BY_ONE for key in ("median_ms", "minimum_ms")}
        tokens = {"tokens_per_s": 1e3 * work.steps * work.batch / per_step["median_ms"]}
        facts = {"work": name, "by": shown, "form": form, "compile_s": seconds, "peak_MiB": peak_mib(program)}
        bound = bound_by(cost_of_step(work), ceilings, form, per_step["median_ms"])
        return facts | per_step | {"rounds": times["rounds"]} | tokens | bound

    return Case("fast", f"{name} {shown} {form}", 25.0, run)


@functools.cache
def cost_of_step(work: Step) -> Cost | None:
    """The work of a training step by `scan` in float32, as in `cost_of_layer`."""

    def build(count):
        train_steps, streams, create = ours.training(work._replace(steps=count), "scan")
        return inspect.unwrap(train_steps), (create(0), streams, 1)

    return cost_over_time(build, work.steps)


def torch_step_case(name: str, work: Step, form: str, platform: str) -> Case:
    """The same training step by torch."""

    def run():
        device = torch_on(platform, form)
        from experiments.benchmarks.peers import torch_peer

        contender = torch_peer.step(work, device=device)
        times = times_of(contender.run)
        tokens = 1e3 * work.steps * work.batch / times["median_ms"]
        return {"work": name, "by": "torch", "form": form, **times, "tokens_per_s": tokens}

    return Case("fast", f"{name} torch {form}", 4.0, run)


def seeds_case(work: Step, form: str, count: int = 8) -> Case:
    """Training steps of several seeds as one program, and of one of them."""

    def run():
        train_steps, streams, create = ours.training(work)
        found = {}
        for seeds in (1, count):
            step = stepper(vmapped(train_steps), [create(seed) for seed in range(seeds)])
            found[seeds] = times_of(lambda step=step, n=seeds: step([streams] * n, 2, None))["median_ms"] / 2
        return {
            "work": f"{count} seeds under vmap",
            "by": "auto",
            "form": form,
            "median_ms": found[count],
            "times_one": found[count] / found[1],
        }

    return Case("fast", f"{count} seeds under vmap", 20.0, run)


def generation_case(work: Generation, form: str, samples: int) -> Case:
    """Texts that are drawn token by token; tokens a second of all."""

    def run():
        model = ours.model_of(work)
        params, prompt = model.init(jax.random.key(0)), np.zeros((0,), np.int32)
        key = jax.random.key(1)
        times = times_of(
            functools.partial(generate, model, params, prompt, work.tokens, key, eol_id=0, num_samples=samples)
        )
        tokens = 1e3 * work.tokens * samples / times["median_ms"]
        return {
            "work": f"generation, batch {samples}",
            "by": "auto",
            "form": form,
            **times,
            "tokens_per_s": tokens,
        }

    return Case("fast", f"generation, batch {samples}", 6.0, run)


def map_case(form: str, steps: int, units: int) -> Case:
    """All norms of the gradients of one text."""

    def run():
        model = recurrent_lm(1000, lstm(units, units))
        params = model.init(jax.random.key(0))
        inputs, targets = jnp.asarray(np.random.default_rng(0).integers(0, 1000, (2, steps, 1), np.int32))
        carry, names = model.initial_carry(params, (1,)), (("h", 0), ("c", 1))
        function = functools.partial(flow_on_device, model.opened, (names,), steps - 1)
        seconds, program = compiled(function, params, carry, inputs, targets)
        facts = {"work": f"gradient map, T={steps} H={units}", "by": "auto", "form": form}
        facts |= {"compile_s": seconds, "peak_MiB": peak_mib(program)}
        return facts | times_of(lambda: program(params, carry, inputs, targets))

    return Case("fast", f"gradient map, T={steps} H={units}", 15.0, run)


def train_case(form: str, steps: int, smoke: bool) -> Case:
    """`lm-jax train` from start to finish: loading, compiling, training, validating, the closing table."""

    def run():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            config = settings_of(folder, steps) if smoke else from_flat(TrainConfig, {"steps": steps})
            started = time.perf_counter()
            train(config, folder / "run")
            seconds = time.perf_counter() - started
            chosen = open_run(folder / "run").config  # the length of chunks is chosen for the text
        tokens = steps * chosen.batch_size * chosen.bptt
        facts = {"work": "lm-jax train, whole", "by": "auto", "form": form}
        return facts | {"median_ms": 1e3 * seconds, "steps": steps, "tokens_per_s": tokens / seconds}

    return Case("fast", "lm-jax train, from start to finish", 45.0, run)


def step_cases(name: str, work: Step, platform: str, ceilings) -> Iterator[Case]:
    """A training step in float32 and in what JAX makes of it by default, by both engines and torch."""
    for form in dict.fromkeys(("float32", DEFAULTS.get(platform, "float32"))):
        for engine in ("fused", "scan"):
            yield step_case(name, work, engine, form, ceilings)
        if has_torch(platform):
            yield torch_step_case(name, work, form, platform)
    if platform == "gpu":
        yield step_case(name, work, "fused", "float32", ceilings, atomics=True)


def model_cases(platform: str, ceilings, smoke: bool) -> Iterator[Case]:
    """All of them, the most telling first. What states no precision is in the one that JAX chooses there."""
    steps, default = SMOKE_STEPS if smoke else STEPS, DEFAULTS.get(platform, "float32")
    small = next(reversed(steps.values()))
    text = Generation(1, 8, 12, 4) if smoke else Generation(2, 650, 33_278, 128)
    for name, work in steps.items():
        yield from step_cases(name, work, platform, ceilings)
    for samples in (1, 256) if not smoke else (1, 2):
        yield generation_case(text, default, samples)
    yield train_case(default, 3 if smoke else 300, smoke)
    yield map_case(default, *((6, 4) if smoke else (1000, 650)))
    yield seeds_case(small, default, 2 if smoke else 8)
    if platform != "cpu":
        others = [engine for engine in engines("lstm") if default != "bfloat16" or engine not in ("scan", "fused")]
        for name, work in steps.items():
            for engine in others:
                yield step_case(name, work, engine, "bfloat16", ceilings)
