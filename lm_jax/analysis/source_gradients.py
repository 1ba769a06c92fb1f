"""The gradient of what a model says about a sentence, by every position of it and by every state of its encoder.

For K numbers v_k of a row, such as the log-probability of its label, of each tag or of each word of a translation:

    inputs[k, t] = || dv_k / dx_t ||          x_t what the encoder reads at position t, a word's vector
    states[k, t] = || dv_k / ds_t ||          s_t a state of a cell after position t, in the order in which it reads

The state h_t is perturbed wherever it is read: by the next step of the cell and, as its output, by the layers above, by
pooling and by attention. That is another gradient than that of a language model's laboratory, whose perturbation is on
the recurrent edge alone (gradient_flow.py). Leaves of the carry that are not the output, such as c of an LSTM, are
perturbed on that edge, and the output of a cell that hands no leaf of its carry out as it is, is a state of its own, y.

Zeros are added to all states, and the v_k are differentiated by them: all positions, layers and directions in one
backward pass for each k, whatever the length. The numbers are exact, in float32. A masked position has gradients of
exactly zero, by what stands there and by the state, which no step there changes.

Shapes: xs [T, *B, E], mask [T, *B], values [K, *B], norms [K, T, *B].
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lm_jax.analysis.adjoint_scan import norm
from lm_jax.analysis.checks import check_finite
from lm_jax.analysis.trajectory import ALL, leaf_places
from lm_jax.cells import Cell
from lm_jax.cells.base import masked_scan
from lm_jax.encoders import Encoder, Place
from lm_jax.errors import UserError
from lm_jax.models.opened_encoder import OpenedEncoder
from lm_jax.models.source_readers import reversed_rows
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Mask, Params


CHUNK = 8  # values whose gradients are computed side by side: memory is in proportion to it
OUTPUT = "y"  # the output of a cell, where it is no leaf of the carry


class StateName(NamedTuple):
    """A state of an encoder: layer, 0 the lowest; whether its cell reads from the last position to the first; and the
    leaf, "h", for an LSTM "c" too, and "all" for several leaves combined."""

    layer: int
    backward: bool
    leaf: str


@shortly_shown
class SourceGradients(NamedTuple):
    """K values, and the norms of their gradients by what is read at each position and by each state there."""

    values: Float[Array, "K *B"]
    inputs: Float[Array, "K T *B"]
    states: dict[StateName, Float[Array, "K T *B"]]


def answer_gradients(
    opened: OpenedEncoder, params: Params, inputs: Any, answers: Any, mask: Mask | None = None
) -> SourceGradients:
    """Computes the gradients of the log-probabilities of answers, by position of the sentence.

    Args:
        opened: A classifier, tagger or translator around its encoder.
        params: Its parameters.
        inputs: What it reads, with leaves [T, *B, ...].
        answers: What its `log_probs` tells the probability of: of rows of padding, 0.
        mask: False is padding, at the end of a row.

    Returns:
        Log-probabilities in nats, and the norms in nats by unit of what is read or of the state, in float64; positions
        and directions are those of the sentence, also where the model reads it from its end.

    Raises:
        UserError: For an encoder that is not made of cells, and gradients that are no numbers.
    """
    found = jax.tree.map(lambda a: np.asarray(a, np.float64), _compiled(opened)(params, inputs, answers, mask))
    check_finite(jax.tree.leaves(found))
    if not opened.reverses:
        return found
    return found._replace(states={name._replace(backward=not name.backward): a for name, a in found.states.items()})


def chosen_answer_norms(
    opened: OpenedEncoder,
    params: Params,
    inputs: Any,
    answers: Any,
    chosen: Int[Array, "*B"],
    mask: Mask | None = None,
) -> Float[Array, "T *B"]:
    """Computes the gradients of one answer of each row by what is read at each position, in one backward pass.

    Args:
        opened: A classifier, tagger or translator around its encoder, made of cells or not.
        params: Its parameters.
        inputs: What it reads, with leaves [T, *B, ...].
        answers: What its `log_probs` tells the probability of.
        chosen: Which of the K answers of each row.
        mask: False is padding, at the end of a row.

    Returns:
        The norms that `answer_gradients` has for these answers, in float32. All of it can be traced.
    """
    xs, real = opened.embed(params, inputs, mask)

    def total(xs):  # an answer of a row depends on this row alone: the sum has the gradients of all
        ys = opened.encoder.encode(params.encoder, xs, mask=real)
        return jnp.sum(opened.chosen_log_prob(params, ys, answers, real, chosen))

    norms = norm(jax.grad(total)(xs), xs.ndim - 1)
    return reversed_rows(norms, real) if opened.reverses else norms


@functools.cache
def _compiled(opened: OpenedEncoder) -> Callable[..., SourceGradients]:
    @jax.jit
    def gradients(params, inputs, answers, mask):
        xs, real = opened.embed(params, inputs, mask)

        def log_probs(ys):
            return opened.log_probs(params, ys, answers, real)

        found = source_gradients(opened.encoder, params.encoder, xs, log_probs, mask=real)
        if not opened.reverses:
            return found
        norms = jax.tree.map(jax.vmap(lambda a: reversed_rows(a, real)), (found.inputs, found.states))
        return SourceGradients(found.values, *norms)

    return gradients


def source_gradients(
    encoder: Encoder,
    params: Params,
    xs: Float[Array, "T *B E"],
    values: Callable[[Float[Array, "T *B H"]], Float[Array, "K *B"]],
    *,
    mask: Mask | None = None,
) -> SourceGradients:
    """Computes the gradients of any values of an encoder's outputs, by its inputs and by all of its states.

    Args:
        encoder: An encoder that is made of cells.
        params: Its parameters.
        xs: What it reads.
        values: Of its outputs; a value of a row depends on this row alone.
        mask: False is padding.

    Returns:
        The values and the norms. All of it can be traced.

    Raises:
        UserError: For an encoder that is not made of cells, and a carry without real numbers.
    """
    if encoder.encode_with is None:
        raise UserError("this analysis needs an encoder made of cells, got one without encode_with")
    encode, zeros = encoder.encode_with, _zeros(encoder, params, xs, mask)

    def values_of(xs, added):
        return values(encode(_perturbed(added), params, xs, mask=mask))

    out, pull = jax.vjp(values_of, xs, zeros)

    def norms_of(k):
        chosen = jnp.broadcast_to(jnp.expand_dims(jnp.arange(len(out)) == k, range(1, out.ndim)), out.shape)
        return jax.tree.map(lambda gradient: norm(gradient, out.ndim), pull(chosen.astype(out.dtype)))

    by_input, by_state = jax.lax.map(norms_of, jnp.arange(len(out)), batch_size=CHUNK)
    return SourceGradients(out, by_input, _named(by_state))


class _Leaves(NamedTuple):
    """The states of a cell: the places in the flattened carry by name; the name of what its output is."""

    places: dict[str, int]
    output: str


def _leaves(cell: Cell, params: Params, xs: Float[Array, "T *B E"]) -> _Leaves:
    """Finds the leaves that have a derivative, and which of them the cell hands out as its output, in its program."""
    carry, x = cell.initial_carry(params, xs.shape[1:-1]), jnp.zeros(xs.shape[1:], xs.dtype)
    layers = leaf_places(carry, params)
    prefixes = [""] if len(layers) == 1 else [f"{number}." for number in range(len(layers))]
    names = {p + name: place for p, layer in zip(prefixes, layers, strict=True) for name, place in layer}
    *after, y = jax.make_jaxpr(cell.step)(params, carry, x).jaxpr.outvars
    return _Leaves(names, next((name for name, place in names.items() if after[place] is y), OUTPUT))


def _zeros(encoder, params, xs, mask):
    """Zeros to be added to the states [T, *B, ...], by place in the encoder and by name."""
    found: dict[Place, dict[str, Any]] = {}

    def unroll(cell, params, xs, mask, key, place):
        leaves = _leaves(cell, params, xs)
        carry, y = cell.step(params, cell.initial_carry(params, xs.shape[1:-1]), jnp.zeros(xs.shape[1:], xs.dtype))
        states = jax.tree.leaves(carry)
        shapes = {name: states[number] for name, number in leaves.places.items()} | {leaves.output: y}
        found[place] = {name: jax.ShapeDtypeStruct((len(xs), *a.shape), a.dtype) for name, a in shapes.items()}
        return jnp.broadcast_to(y, (len(xs), *y.shape))

    # only shapes are asked for: nothing is computed
    jax.eval_shape(lambda p, xs: encoder.encode_with(unroll, p, xs, mask=mask), params, xs)
    return {place: {name: jnp.zeros(a.shape, a.dtype) for name, a in of.items()} for place, of in found.items()}


def _perturbed(added: dict[Place, dict[str, Array]]):
    """Makes the unroll that adds to the states after every step."""

    def unroll(cell, params, xs, mask, key, place):
        del key
        leaves = _leaves(cell, params, xs)

        def step(carry, inputs):
            x, here = inputs
            carry, y = cell.step(params, carry, x)
            states, structure = jax.tree.flatten(carry)
            for name, number in leaves.places.items():
                states[number] = states[number] + here[name]
            return jax.tree.unflatten(structure, states), y + here[leaves.output]

        start, scan = cell.initial_carry(params, xs.shape[1:-1]), functools.partial(jax.lax.scan, reverse=place.reverse)
        return masked_scan(step, start, start, (xs, added[place]), mask, None, scan)[1]

    return unroll


def _named(norms: dict[Place, dict[str, Array]]) -> dict[StateName, Array]:
    """Numbers the layers, and adds to a state of several leaves the norm of all of them."""
    layers = {layer: number for number, layer in enumerate(sorted({place.layer for place in norms}))}
    found = {}
    for place, by_leaf in norms.items():
        combined = {ALL: functools.reduce(jnp.hypot, by_leaf.values())} if len(by_leaf) > 1 else {}
        for leaf, values in {**by_leaf, **combined}.items():
            found[StateName(layers[place.layer], place.reverse, leaf)] = values
    return found
