"""Losses, generation and the gradient map of language models, and what stands beside them, against float64."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from experiments.accelerators.cases import Case
from experiments.accelerators.precision import FORMS, as_arrays, cast, error, forms, in_float64, on_host, run_on_host
from experiments.accelerators.precision import verdict as verdict_of
from lm_jax.analysis import gradient_flow
from lm_jax.cells import gru, lstm
from lm_jax.inference import Sampler, generate
from lm_jax.models import crf, recurrent_lm
from lm_jax.models.ctc import ctc_loss
from lm_jax.training.losses import Chunk, cross_entropy, smoothed_cross_entropy


V, H, T, B = 60, 32, 16, 4
OPTIONS = {
    "softmax": {},
    "tied": {"tied": True},
    "in pieces": {"logits_limit": 4 * V * B * 4},
    "adaptive": {"cutoffs": (20, 40)},
}


def model_of(name: str, compute_dtype=None, make=lstm, recurrence="auto"):
    """A language model of one layer, its softmax as the name says."""
    cell = make(H, H, recurrence=recurrence, compute_dtype=compute_dtype)
    return recurrent_lm(V, cell, init_bound=0.5, compute_dtype=compute_dtype, **OPTIONS[name])


def drawn(model, carry=True):
    """(params, carry) on the host, in float32."""
    with on_host():
        params = model.init(jax.random.key(0))
        return as_arrays((params, model.initial_carry(params, (B,)))) if carry else as_arrays(params)


def chunk() -> Chunk:
    """Tokens of ragged rows, one of which is of length zero."""
    tokens = np.random.default_rng(0).integers(0, V, (T + 1, B)).astype(np.int32)
    return Chunk(tokens[:-1], tokens[1:], np.arange(T)[:, None] < np.array([T, 0, T // 2, T - 1]), None)


def loss_case(name: str, form_name: str, form, smoothing: float = 0.0) -> Case:
    """The value of a loss, and its gradient by all parameters."""

    def loss_of(model):
        make = cross_entropy(model) if not smoothing else smoothed_cross_entropy(model, smoothing)
        return jax.value_and_grad(lambda params, carry: make(params, carry, chunk(), jax.random.key(0))[0])

    def run():
        given = drawn(model_of(name))
        truth = run_on_host(loss_of(model_of(name, recurrence="scan")), *given)
        with jax.default_matmul_precision(form.precision):
            found = jax.jit(loss_of(model_of(name, form.compute_dtype)))(*given)
        return verdict_of(error(found, truth), form.bound)

    return Case("right", f"loss {name}{' smoothed' if smoothing else ''} {form_name}", 30.0, run, beside=True)


def crf_case() -> Case:
    """log P of labels under a conditional random field, and its gradient."""

    def value(params, scores):
        mask = np.arange(T)[:, None] < np.array([T, 0, T // 2, 1])
        labels = np.random.default_rng(1).integers(0, 5, (T, B))
        return jax.value_and_grad(lambda p, s: crf.log_prob(p, s, labels, mask).sum(), (0, 1))(params, scores)

    return _plain("conditional random field", value, lambda g: (_crf_params(g), g.normal(size=(T, B, 5))))


def _crf_params(generator):
    return crf.CRFParams(*(generator.normal(size=shape) for shape in ((5,), (5, 5), (5,))))


def ctc_case() -> Case:
    """The loss of connectionist temporal classification, and its gradient."""

    def value(logits):
        labels = np.random.default_rng(1).integers(1, 6, (4, B)).astype(np.int32)
        mask = np.arange(T)[:, None] < np.array([T, T - 4, T - 1, 9])
        return jax.value_and_grad(lambda x: ctc_loss(x, labels, mask=mask).sum())(logits)

    return _plain("CTC", value, lambda g: (g.normal(size=(T, B, 6)),))


def _plain(name, value, draw):
    def run():
        given = jax.tree.map(lambda a: np.asarray(a, np.float32), draw(np.random.default_rng(0)))
        with jax.default_matmul_precision("highest"):
            found = jax.jit(value)(*given)
        return verdict_of(error(found, run_on_host(value, *given)), FORMS["float32"].bound)

    return Case("right", f"loss {name} float32", 30.0, run, beside=True)


def generation_case(form_name: str, form) -> Case:
    """Every token of a greedy text is, by the logits of float64, within the bound of the most likely one."""

    def run():
        params, prompt = drawn(model_of("softmax"), carry=False), np.array([3, 1, 4], np.int32)
        with jax.default_matmul_precision(form.precision):
            model = model_of("softmax", form.compute_dtype)
            tokens = generate(model, params, prompt, 24, jax.random.key(0), eol_id=0, sampler=Sampler(greedy=True))
        read = np.concatenate([[0], prompt, tokens[:-1, 0]]).astype(np.int32)[:, None]
        plain = model_of("softmax", recurrence="scan")

        def logits_of(params):
            return plain.unroll(params, plain.initial_carry(params, (1,)), read)[1]

        logits = run_on_host(logits_of, params)[len(prompt) :, 0]
        short = logits.max(-1) - np.take_along_axis(logits, np.asarray(tokens), axis=-1)[:, 0]
        return verdict_of(float(np.max(short)) / float(np.abs(logits).max()), form.bound)

    return Case("right", f"generation {form_name}", 30.0, run, beside=True)


def flow_case(make, form_name: str, form) -> Case:
    """The logarithms of the norms of the gradient map; the error is the largest difference, of e-folds."""

    def run():
        plain, model = (model_of("softmax", make=make, **o) for o in ({"recurrence": "scan"}, {}))
        params, tokens = drawn(model, carry=False), np.random.default_rng(2).integers(0, V, (T + 1, 2)).astype(np.int32)
        with in_float64():
            truth = gradient_flow(plain, cast(params, jnp.float64), tokens)
        if form.compute_dtype:
            model = model_of("softmax", form.compute_dtype, make)
        with jax.default_matmul_precision(form.precision):
            found = gradient_flow(model, params, tokens)
        return verdict_of(max(map(_largest, _leaves(found), _leaves(truth))), 10 * form.bound)

    return Case("right", f"gradient map {make.__name__} {form_name}", 30.0, run, beside=True)


def _leaves(flow):
    return [flow.output, *(norms for layer in flow.carry for norms in layer.values())]


def _largest(a, b):
    known = np.isfinite(b)
    return float(np.max(np.abs(a[known] - b[known]))) if np.isfinite(a[known]).all() else float("inf")


def model_cases(platform: str) -> Iterator[Case]:
    """All of them, float32 first."""
    for name, form in forms(platform).items():
        yield loss_case("softmax", name, form)
        yield generation_case(name, form)
        yield flow_case(lstm, name, form)
        for softmax in list(OPTIONS)[1:]:
            yield loss_case(softmax, name, form)
        yield loss_case("softmax", name, form, smoothing=0.1)
        yield flow_case(gru, name, form)
    yield crf_case()
    yield ctc_case()
