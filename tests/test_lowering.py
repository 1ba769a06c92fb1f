"""Every jitted entry is lowered for TPU and CUDA on this CPU, and asks nothing of the host while it runs.

What a device decides while a program is traced, such as the engine of `auto` and how a masked loop ends, is decided
here as on a device that is no CPU. cuDNN's kernel asks the GPU's library for sizes when it is lowered; it is left out.
"""

import functools
import re
from pathlib import Path
from typing import NamedTuple, get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import lm_jax
from lm_jax import UserError
from lm_jax.analysis.gradient_flow import flow_on_device
from lm_jax.cells import gru, lstm
from lm_jax.cells.engines import selection
from lm_jax.config import CELLS, OptimizerConfig
from lm_jax.data import Streams
from lm_jax.inference import Sampler
from lm_jax.inference.beam_search import build_search
from lm_jax.inference.generation import _jitted_extend, _jitted_read, _jitted_top
from lm_jax.inference.likelihood import _jitted_score
from lm_jax.models import attention_lm, crf, recurrent_lm, window_lm
from lm_jax.models.ctc import ctc_loss
from lm_jax.training import build_optimizer, build_schedule, build_train_steps, create_state, cross_entropy
from lm_jax.training.chunks import chunk_source
from lm_jax.training.recovery import POLICIES, Guard
from tests.cells.test_loop import equations


PLATFORMS = ("tpu", "cuda")
ONLY = {"cudnn": (), "pallas": ("tpu",)}  # engines that are not for both
HOST = re.compile("callback|infeed|outfeed|debug")
V, H, T, B = 11, 6, 3, 2  # sizes of this file alone: what is traced here for an accelerator is nobody else's


class Entry(NamedTuple):
    """A jitted function, and arguments or their shapes."""

    function: object
    arguments: tuple
    platforms: tuple = PLATFORMS


def ids(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def numbers(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def flags(*shape):
    return jax.ShapeDtypeStruct(shape, bool)


KEY = jax.random.key(0)


def engines():
    """(cell, engine) as the settings of cells list them."""
    for kind, described in CELLS.items():
        hints = {} if described.config is None else get_type_hints(described.config)
        for engine in get_args(hints.get("recurrence")) or (None,):
            yield kind, engine


def layer(kind, engine):
    """Gradients of one layer with a mask and resets, on one engine."""
    options = {} if engine is None else {"recurrence": engine}
    try:
        cell = CELLS[kind].make()(H, H, **options)
    except UserError as refusal:
        pytest.skip(str(refusal))
    params = jax.eval_shape(cell.init, KEY)
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, (B,)), params)

    def loss(params, carry, xs, mask, reset):
        return cell.unroll(params, carry, xs, mask=mask, reset=reset)[1].sum()

    function = jax.jit(jax.grad(loss, (0, 1, 2)))
    arguments = (params, carry, numbers(T, B, H), flags(T, B), flags(T, B))
    return Entry(function, arguments, ONLY.get(engine, PLATFORMS))


MODELS = {
    "lstm": lambda: recurrent_lm(V, lstm(H, H), dropout_rate=0.1),
    "gru adaptive": lambda: recurrent_lm(V, gru(H, H), cutoffs=(3, 5)),
    "in pieces": lambda: recurrent_lm(V, gru(H, H, compute_dtype="bfloat16"), logits_limit=V * B * 4, tied=True),
    "window": lambda: window_lm(V, window=2, embedding_size=H, hidden_size=H),
    "attention": lambda: attention_lm(V, hidden_size=H, heads=1, layers=1, context=3),
}


def shapes_of(model):
    params = jax.eval_shape(model.init, KEY)
    return params, jax.eval_shape(lambda p: model.initial_carry(p, (B,)), params)


def train_step(model):
    """Training steps with Adam, clipping and the guard."""
    config = OptimizerConfig()
    schedule = build_schedule(config, 10)
    optimizer = build_optimizer(config, schedule)
    batches = chunk_source(model, B, T, 5)
    guard = Guard(POLICIES["skip"], schedule, config.clip)
    steps = build_train_steps(cross_entropy(model), batches, optimizer, clip=config.clip, guard=guard)
    state = jax.eval_shape(lambda: create_state(model.init, batches, optimizer, 0, guarded=True))
    return Entry(steps, (state, Streams(ids(5 * T + 1, B), ids(B)), ids()))


def score(model):
    params, carry = shapes_of(model)

    def call(params, carry, inputs, targets, mask, reset):
        return _jitted_score(model)(params, carry, inputs, targets, mask=mask, reset=reset)

    return Entry(jax.jit(call), (params, carry, ids(T, B), ids(T, B), flags(T, B), flags(T, B)))


SAMPLER = Sampler(temperature=0.7, top_k=3, top_p=0.9)


def generate(model, sampler=SAMPLER):
    params, carry = shapes_of(model)
    numbers = jax.tree.map(jnp.asarray, sampler.numbers)
    return Entry(_jitted_extend(model, sampler.form), (params, carry, ids(B), KEY, ids(), numbers))


def read(model):
    return Entry(_jitted_read(model), (shapes_of(model)[0], ids(T, B), flags(T, B)))


def top(model):
    return Entry(_jitted_top(model, 3), (*shapes_of(model), ids(B)))


def beams(model):
    return Entry(jax.jit(build_search(model, 3, 0, B, 0.0)), (*shapes_of(model), ids(B), ids()))


def gradient_map(model):
    params, carry = shapes_of(model)
    names = (("h", 0), ("c", 1))[: len(jax.tree.leaves(carry))]
    function = jax.jit(functools.partial(flow_on_device, model.opened, (names,), T - 1))
    return Entry(function, (params, carry, ids(T, B), ids(T, B)))


def labels_loss(loss):
    def call(scores, labels, mask):
        return jax.grad(lambda scores: loss(scores, labels, mask).sum())(scores)

    return Entry(jax.jit(call), (numbers(T, B, V), ids(T, B), flags(T, B)))


def of_crf(scores, labels, mask):
    return -crf.log_prob(crf.neutral_params(V), scores, labels, mask)


def of_ctc(scores, labels, mask):
    return ctc_loss(scores, labels, mask=mask)


ENTRIES = {
    **{
        f"{verb}, {name}": functools.partial(lambda make_entry, make: make_entry(make()), make_entry, make)
        for verb, make_entry in (("train step", train_step), ("score", score), ("generate", generate))
        for name, make in MODELS.items()
    },
    "greedy": lambda: generate(MODELS["lstm"](), Sampler(greedy=True)),
    "prompt": lambda: read(MODELS["lstm"]()),
    "next tokens": lambda: top(MODELS["lstm"]()),
    "beam search": lambda: beams(MODELS["lstm"]()),
    "gradient map, lstm": lambda: gradient_map(recurrent_lm(V, lstm(H, H))),
    "gradient map, gru": lambda: gradient_map(recurrent_lm(V, gru(H, H))),
    "conditional random field": lambda: labels_loss(of_crf),
    "CTC": lambda: labels_loss(of_ctc),
}
for _kind, _engine in engines():
    ENTRIES[f"{_kind} {_engine or 'loop'}"] = functools.partial(layer, _kind, _engine)
FAST = ("train step, lstm", "score, lstm", "generate, lstm", "gradient map, lstm", "lstm scan", "lstm fused")
FAST += ("gru fused",)


@pytest.fixture
def traced_for_an_accelerator(monkeypatch):
    """Traces as on a device that is no CPU."""
    monkeypatch.setattr(selection, "device_name", lambda: "an accelerator")
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in FAST)) for n in ENTRIES])
def test_it_is_lowered_and_asks_nothing_of_the_host(name, traced_for_an_accelerator):
    entry = ENTRIES[name]()
    if not entry.platforms:
        pytest.skip("its kernel asks the library of a GPU when it is lowered")
    check(entry)


def check(entry):
    """Its program has no primitive of the host, and is lowered for all of its platforms."""
    program = list(equations(jax.make_jaxpr(entry.function)(*entry.arguments).jaxpr))
    assert len(program) > 3
    assert not [e.primitive.name for e, _ in program if HOST.search(e.primitive.name)]
    exported = export.export(entry.function, platforms=entry.platforms)(*entry.arguments)
    assert exported.platforms == entry.platforms and "func.func public @main" in exported.mlir_module()
    assert not re.search("callback|infeed|outfeed", exported.mlir_module())


def test_no_module_of_the_library_names_a_way_to_the_host():
    """Whatever is compiled, and however it is reached."""
    ways = re.compile(r"pure_callback|io_callback|debug\.(callback|print|breakpoint)|host_callback|experimental\.hcb")
    library = Path(lm_jax.__file__).parent
    named = {str(path.relative_to(library)) for path in library.rglob("*.py") if ways.search(path.read_text("utf-8"))}
    assert named == set() and ways.search(Path(__file__).read_text("utf-8"))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_a_host_does_is_seen(platform):
    """The check can fail: a program with a callback has the primitive, and its name in the module."""

    def noisy(x):
        jax.debug.callback(lambda value: None, x)
        return np.float32(2) * x

    jaxpr = jax.make_jaxpr(jax.jit(noisy))(np.float32(1)).jaxpr
    assert [e.primitive.name for e, _ in equations(jaxpr) if HOST.search(e.primitive.name)]


def test_every_engine_that_the_settings_list_is_here():
    assert {"lstm scan", "lstm fused", "lstm cudnn", "gru auto", "slstm loop", "mlstm chunkwise"} <= ENTRIES.keys()
