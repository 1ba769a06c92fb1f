"""How fast is one recurrent layer: by engine, unrolling, number type, and torch's cuDNN in the same process."""

import functools
import importlib.util
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from experiments.accelerators.cases import Case, Row
from experiments.accelerators.measuring import (
    Cost,
    bound_by,
    compiled,
    cost_over_time,
    loop_sizes,
    peak_mib,
    times_of,
    unrolled,
)
from experiments.accelerators.precision import FORMS
from experiments.accelerators.right_cells import engines
from experiments.benchmarks.peers.work import Layers
from lm_jax.config import CELLS
from lm_jax.errors import UserError


SHAPES = {
    "B16 T1024 H768": (16, 1024, 768),
    "B64 T512 H1024": (64, 512, 1024),
    "B20 T35 H650": (20, 35, 650),
    "B256 T256 H256": (256, 256, 256),
}
ON_CPU = {"B20 T35 H200": (20, 35, 200), "B20 T35 H650": (20, 35, 650), "B64 T128 H512": (64, 128, 512)}
SMOKE = {"B2 T3 H8": (2, 3, 8)}
UNROLLS = (1, 4, 16, 8, 2)


def works(shapes: Mapping[str, tuple[int, int, int]], cell: str) -> dict[str, Layers]:
    """By name, both directions of a layer at each shape."""
    return {
        f"{cell} {name} {direction}": Layers(cell, 1, units, batch, steps, direction)
        for name, (batch, steps, units) in shapes.items()
        for direction in ("both", "forward")
    }


def program_of(work: Layers, engine: str, compute_dtype: str | None):
    """(function, arguments): outputs of a layer, or the gradients of their weighted sum."""
    options = {"recurrence": engine, "compute_dtype": compute_dtype}
    cell = CELLS[work.cell].make()(work.units, work.units, **options)
    params = cell.init(jax.random.key(0))
    carry = cell.initial_carry(params, (work.batch,))
    shape = (2, work.steps, work.batch, work.units)
    xs, weights = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)

    def loss(params, xs):
        return jnp.sum(weights * cell.unroll(params, carry, xs)[1])

    return (jax.grad(loss, (0, 1)) if work.direction == "both" else loss), (params, xs)


def measured(work: Layers, engine: str, form: str, unroll: int, ceilings: dict[str, float]) -> Row:
    """The fields of a row."""
    precision, compute_dtype, _ = FORMS[form]
    with jax.default_matmul_precision(precision), unrolled(unroll):
        function, arguments = program_of(work, engine, compute_dtype)
        seconds, program = compiled(function, *arguments)
    times = times_of(lambda: program(*arguments))
    bound = bound_by(cost_of_layer(work), ceilings, form, times["median_ms"])
    return {**times, "compile_s": seconds, "peak_MiB": peak_mib(program), "loops": loop_sizes(program), **bound}


@functools.cache
def cost_of_layer(work: Layers) -> Cost | None:
    """The work of a layer by `scan` in float32: its operations are those of all engines, its bytes about theirs."""

    def build(count):
        return program_of(work._replace(steps=count), "scan", None)

    return cost_over_time(build, work.steps)


def layer_case(name: str, work: Layers, engine: str, form: str, ceilings, unroll: int = 1) -> Case:
    """One layer on one engine."""
    shown = engine if unroll == 1 else f"{engine}, unroll {unroll}"
    facts = {"work": name, "by": shown, "form": form, **work._asdict(), "engine": engine, "unroll": unroll}

    def run():
        return facts | measured(work, engine, form, unroll, ceilings)

    return Case("fast", f"{name} {shown} {form}", 15.0 + unroll, run)


def torch_on(platform: str, form: str) -> str:
    """Imports torch, sets its products, and returns its name of the device; raises UserError where it has not got it.

    Args:
        platform: JAX's, "cpu" or "gpu".
        form: of the products.
    """
    import torch

    if platform == "gpu" and not torch.cuda.is_available():
        raise UserError("torch sees no GPU")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = form == "TF32"
    return "cuda" if platform == "gpu" else "cpu"


def torch_case(name: str, work: Layers, form: str, platform: str) -> Case:
    """The same layer by torch, whose layers are cuDNN's on an NVIDIA GPU."""

    def run():
        device = torch_on(platform, form)
        import torch

        from experiments.benchmarks.peers import torch_peer

        dtype = torch.bfloat16 if form == "bfloat16" else torch.float32
        contender = torch_peer.layers(work, device=device, dtype=dtype)
        return {"work": name, "by": "torch", "form": form, **work._asdict(), **times_of(contender.run)}

    return Case("fast", f"{name} torch {form}", 2.0, run)


def has_torch(platform: str) -> bool:
    """Whether torch is there to compare with: on a TPU it would compute on the host."""
    return platform != "tpu" and importlib.util.find_spec("torch") is not None


def cases_of(name: str, work: Layers, platform: str, ceilings) -> Iterator[tuple[int, Case]]:
    """One piece of work by everybody, each with a rank, the lowest to be asked first: float32 and its peer, bfloat16,
    unrolling, TF32; then the same of a forward pass alone."""
    later = 4 if work.direction == "forward" else 0
    ranks = {"float32": 0} if platform == "cpu" else {"float32": 0, "bfloat16": 1}
    for form, rank in (ranks | ({"TF32": 3} if platform == "gpu" else {})).items():
        for engine in engines(work.cell):
            yield later + rank, layer_case(name, work, engine, form, ceilings)
        if has_torch(platform):
            yield later + rank, torch_case(name, work, form, platform)
    if platform != "cpu":
        for unroll in UNROLLS[1:]:
            yield later + 2, layer_case(name, work, "scan", "float32", ceilings, unroll)
