"""Every cell and engine against float64 on the host: outputs, carry and gradients, with masks and resets."""

import functools
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np

from experiments.accelerators.cases import Case
from experiments.accelerators.precision import as_arrays, error, errors_by_part, forms, on_host, run_on_host, verdict
from lm_jax.config import CELLS
from lm_jax.encoders import bidirectional


TELLING = ("lstm", "gru", "rnn")  # whose engines are written by hand


class Size(NamedTuple):
    """inputs E, units H, steps T, rows B; B is 4 for the masks below."""

    inputs: int = 48
    units: int = 64
    steps: int = 24
    rows: int = 4


TINY = Size(4, 4, 6)


def engines(kind: str) -> tuple[str, ...]:
    """The engines that the settings of a cell list; its own loop where they list none."""
    config = CELLS[kind].config
    hints = {} if config is None else get_type_hints(config)
    return tuple(name for name in get_args(hints.get("recurrence")) if name != "auto") or ("scan",)


def make_cell(kind: str, size: Size, engine: str, compute_dtype: str | None = None):
    """A cell on an engine; raises UserError where the device does not have it."""
    factory = CELLS[kind].make()
    known = inspect.signature(factory).parameters
    options = {"recurrence": engine, "compute_dtype": compute_dtype}
    if compute_dtype is not None and "compute_dtype" not in known:
        raise NotImplementedError(f"{kind} has no compute_dtype")
    return factory(size.inputs, size.units, **{name: value for name, value in options.items() if name in known})


def flags_of(size: Size) -> dict[str, dict[str, np.ndarray]]:
    """By name, what is given beside inputs: rows with an end, with a hole, of length zero; resets anywhere."""
    drawn = np.random.default_rng(7).random((2, size.steps, size.rows))
    mask, reset = drawn[0] < 0.8, drawn[1] < 0.2
    mask[:, 0], mask[:, 1], mask[:, 2] = True, False, np.arange(size.steps) < size.steps // 2
    flags = {"mask": mask, "reset": reset}
    return {"plain": {}, "mask": {"mask": mask}, "reset": {"reset": reset}, "both": flags}


@functools.cache
def problem(kind: str, size: Size) -> tuple[Any, Any, np.ndarray]:
    """(params, carry, xs), float32 on the host, none of them zero."""
    with on_host():
        cell = make_cell(kind, size, "scan")
        params = cell.init(jax.random.key(0))
        carry = cell.initial_carry(params, (size.rows,))
        params, carry = as_arrays((params, carry))
    generator = np.random.default_rng(1)
    noisy = functools.partial(jax.tree.map, lambda a: (a + 0.1 * generator.normal(size=a.shape)).astype(np.float32))
    return noisy(params), noisy(carry), generator.normal(size=(size.steps, size.rows, size.inputs)).astype(np.float32)


def outcome(cell, names: tuple[str, ...], size: Size):
    """(params, carry, xs) -> by name of the flags: last carry, outputs, gradients of a sum that weights them all."""
    flags = flags_of(size)

    def one(arguments, given):
        def loss(params, carry, xs):
            last, ys = cell.unroll(params, carry, xs, **given)
            if "mask" in given:
                ys = jnp.where(given["mask"][..., None], ys, 0)
            return weighted_sum((last, ys)), (last, ys)

        (_, returned), gradients = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(*arguments)
        return returned, gradients

    return lambda *arguments: {name: one(arguments, flags[name]) for name in names}


def weighted_sum(tree):
    """A scalar that every entry enters with a weight of its own."""
    generator = np.random.default_rng(3)
    return sum(jnp.sum(a * generator.normal(size=a.shape).astype(a.dtype)) for a in jax.tree.leaves(tree))


@functools.cache
def expected(kind: str, size: Size) -> dict[str, Any]:
    """The same by the plain loop in float64 on the host, for all flags."""
    cell = make_cell(kind, size, "scan")
    return run_on_host(outcome(cell, tuple(flags_of(size)), size), *problem(kind, size))


def cell_case(kind: str, engine: str, form_name: str, form, size: Size) -> Case:
    """One cell on one engine in one form."""
    names = ("plain", "mask", "reset", "both") if form_name == "float32" else ("plain", "both")
    names = ("plain",) if engine == "cudnn" else names  # it gives masks and resets to the plain loop

    def run():
        cell = make_cell(kind, size, engine, form.compute_dtype)
        with jax.default_matmul_precision(form.precision):
            found = jax.jit(outcome(cell, names, size))(*problem(kind, size))
        errors = {name: error(found[name], expected(kind, size)[name]) for name in names}
        wrong = [name for name in names if not errors[name] <= form.bound]
        parts = {name: errors_by_part(found[name], expected(kind, size)[name]) for name in wrong}
        return verdict(max(errors.values()), form.bound) | {"by_flags": errors, **({"parts": parts} if wrong else {})}

    return Case("right", f"{kind} {engine} {form_name}", 30.0, run, beside=True)


def ragged_case(kind: str, engine: str, form_name: str, form, size: Size) -> Case:
    """A bidirectional encoder over rows of every length from zero on."""
    lengths = np.arange(size.rows) * size.steps // (size.rows - 1)
    mask = np.arange(size.steps)[:, None] < lengths

    def value(encoder):
        def loss(params, xs):
            ys = encoder.encode(params, xs, mask=mask)
            return weighted_sum(ys), ys

        return jax.value_and_grad(loss, (0, 1), has_aux=True)

    def run():
        given = make_cell(kind, size, engine, form.compute_dtype)
        plain = make_cell(kind, size, "scan")
        params, xs = problem(kind, size)[::2]
        encoder, oracle = bidirectional(given, given), bidirectional(plain, plain)
        with on_host():
            drawn = as_arrays(oracle.init(jax.random.key(2)))
        drawn = drawn.replace(forward=params) if hasattr(drawn, "replace") else drawn
        truth = run_on_host(value(oracle), drawn, xs)
        with jax.default_matmul_precision(form.precision):
            found = jax.jit(value(encoder))(drawn, xs)
        return verdict(error(found, truth), form.bound)

    return Case("right", f"bidirectional ragged {kind} {engine} {form_name}", 30.0, run, beside=True)


def cell_cases(platform: str, size: Size) -> Iterator[Case]:
    """All of them, those first whose engines are written by hand, in float32 before other forms."""
    kinds = [*TELLING, *(kind for kind in CELLS if kind not in TELLING)]
    for some in (kinds[:3], kinds[3:]):
        for name, form in forms(platform).items():
            for kind in some:
                for engine in engines(kind):
                    yield cell_case(kind, engine, name, form, size)
                    if kind in TELLING and engine != "cudnn":  # which gives rows with a mask to the plain loop
                        yield ragged_case(kind, engine, name, form, size)
