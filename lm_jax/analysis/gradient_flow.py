"""How much of the loss at one step reaches back to each step before it: exactly, for any recurrent language model.

    J_i = -log P(x_{i+1} | x_1 .. x_i)     in nats
    G[i, j] = || dJ_i / d(perturbation added to the carry that step j hands to step j+1) ||        for j < i
    G[i, i] = || dJ_i / dy_i ||            y_i the output of the top layer

The perturbation is on the recurrent edge: in a stack it does not take the path from layer to layer at step j (a node
with `retain_grad` on h_j would). G is given for each layer and each leaf of its carry with the others held, and for
the whole carry of the layer; the carry after step i does not act on J_i, so that lag 0 is that of the output. That
G vanishes or explodes with i - j: Hochreiter 1991; Bengio et al. 1994; Pascanu et al. 2013. How all of it is computed
in one scan: lm_jax/analysis/adjoint_scan.py.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lm_jax.analysis.adjoint_scan import edge_norms, log_norm
from lm_jax.analysis.checks import checked_lag
from lm_jax.analysis.trajectory import ALL, forward_pass, leaf_places, open_text
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.short_repr import shortly_shown
from lm_jax.types import Carry, Params, TextIds


@shortly_shown
class GradientFlow(NamedTuple):
    """Natural logarithms of gradient norms, float64, for B texts and T predictions each.

    output: log ||dJ_i/dy_i|| at [b, i]; lag 0.
    carry: of each layer, by leaf ("h"; for an LSTM "h" and "c"; for other cells their path in the carry) and of "all"
        leaves combined, log G at [b, i, j]. -inf for j >= i and where nothing is left of a gradient; NaN where the
        lag i - j is above max_lag.
    max_lag: the largest lag that was measured.
    """

    output: Float[np.ndarray, "B T"]
    carry: tuple[dict[str, Float[np.ndarray, "B T T"]], ...]
    max_lag: int


def gradient_flow(
    model: LanguageModel,
    params: Params,
    tokens: TextIds,
    *,
    targets: TextIds | None = None,
    carry: Carry | None = None,
    max_lag: int | None = None,
) -> GradientFlow:
    """Computes the norm of the gradient of every prediction's loss with respect to the carry after every earlier step.

    Time is about that of T backward steps of a batch of B * max_lag rows (half of it for all lags). Memory is O(B * T
    * H), that of the result, and that of the logits of the text, up to the model's `logits_limit`.

    Args:
        model: a language model with a recurrence.
        params: its parameters.
        tokens: ids [T+1, B], or [T+1] of one text: each token but the first is predicted from those before it. With
            `targets`, `tokens` [T, B] are the inputs.
        targets: ids [T, B]; targets[i] is predicted after tokens[i].
        carry: the carry before the first step. Default: the initial one.
        max_lag: largest lag to measure; the time is proportional to it. Default: all, T - 1.

    Returns:
        The log norms by prediction, step, layer and leaf.

    Raises:
        UserError: for a model without a recurrence (an n-gram, a window), fewer than two predictions, a max_lag that
            no prediction has, shapes that do not fit, or ids that are not in the vocabulary.
    """
    text = open_text(model, params, tokens, targets, carry)
    rows = checked_lag(max_lag, len(text.inputs))
    places = leaf_places(text.carry, params.cell)
    compiled = _compiled(text.opened, places, rows)
    log_output, log_leaves, exponents = compiled(params, text.carry, text.inputs, text.targets)
    layers = []
    for names, leaves, exponent in zip(places, log_leaves, exponents, strict=True):
        scale = np.asarray(exponent, np.float64) * np.log(2)
        by_name = {name: _by_position(np.asarray(m) + scale, rows) for (name, _), m in zip(names, leaves, strict=True)}
        layers.append({**by_name, ALL: _combine(list(by_name.values()))})
    return GradientFlow(np.asarray(log_output, np.float64).T, tuple(layers), rows)


@functools.cache
def _compiled(opened: Opened, places, rows: int) -> Callable:
    return jax.jit(functools.partial(flow_on_device, opened, places, rows))


def flow_on_device(opened: Opened, places, rows, params, carry, inputs, targets):
    """Computes a gradient flow on the device: log ||dJ_i/dy_i|| [T, B], and the result of `edge_norms`.

    Args:
        opened: The parts of a recurrent language model.
        places: Of each layer, (name, place in the flattened carry) of its leaves.
        rows: The largest lag.
        params: Parameters of the language model.
        carry: The carry before the first step, leaves [B, ...].
        inputs: Ids [T, B].
        targets: Ids [T, B].
    """
    xs, carries, ys = forward_pass(opened, params, carry, inputs)
    gradients = jax.grad(lambda ys: -jnp.sum(opened.log_probs(params, ys, targets)))(ys)
    layers = [[place for _, place in names] for names in places]
    return log_norm(gradients, 2), *edge_norms(opened.cell, params.cell, carries, xs, gradients, layers, rows)


def _by_position(norms: Float[np.ndarray, "T-1 S B"], max_lag: int) -> Float[np.ndarray, "B T T"]:
    """Reorders the result of the scan, step t-1 by slot, to [b, i, j]."""
    steps, slots, batch_size = norms.shape[0] + 1, norms.shape[1], norms.shape[2]
    t, slot = np.arange(1, steps)[:, None], np.arange(slots)[None, :]
    i = t + (steps - 1 - slot - t) % slots
    j = np.broadcast_to(t - 1, i.shape)
    lag = np.arange(steps)[:, None] - np.arange(steps)[None, :]
    result = np.full((batch_size, steps, steps), -np.inf)
    result[:, lag > max_lag] = np.nan
    seen = (i < steps) & (i - j <= max_lag)
    result[:, i[seen], j[seen]] = norms[seen].T
    return result


def _combine(logs: list[np.ndarray]) -> np.ndarray:
    """Returns log sqrt(sum of squares) of norms given by their logarithms."""
    with np.errstate(invalid="ignore"):  # NaN stands where nothing was measured
        return functools.reduce(lambda a, b: 0.5 * np.logaddexp(2 * a, 2 * b), logs)
