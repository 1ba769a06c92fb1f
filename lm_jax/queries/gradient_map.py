"""The past tokens that the gradient of the loss on each token of a short text reaches."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lm_jax.analysis import gradient_flow
from lm_jax.analysis.trajectory import main_leaf
from lm_jax.errors import UserError
from lm_jax.queries.loaded_run import RunLike, UserCell
from lm_jax.queries.recurrent_run import load_recurrent
from lm_jax.queries.token_text import Text, shown_tokens, to_ids, to_text, unknown_words
from lm_jax.report import heat_map
from lm_jax.report.html import figure_html, fragment, paragraph
from lm_jax.short_repr import shortly_shown


MOST_TOKENS = 400  # of a map that a person can still read


@shortly_shown
class GradientMap(NamedTuple):
    """Gradient between the tokens of one text x_1 .. x_N, which follows the end of a line, x_0.

    past, predicted: the names of x_0 .. x_{N-1} and of x_1 .. x_N. nats: -log P of each of the latter.
    log_shares: natural log of G[i, j] / G[i, i] of the leaf h of `layer` at [i, j]: what is left at past[j] of the
        gradient of the loss on predicted[i]. 0 for j = i, NaN for j > i, -inf where nothing is left.
    unknown: the words that the model knows only as <unk>.
    """

    run: str
    text: str
    level: str
    layer: int
    past: tuple[str, ...]
    predicted: tuple[str, ...]
    nats: Float[np.ndarray, "N"]
    log_shares: Float[np.ndarray, "N N"]
    unknown: tuple[str, ...]

    def _repr_html_(self) -> str:
        figure = heat_map.heat_map(self.log_shares, self.past, self.predicted)
        answer = heat_map.answer(self.log_shares, self.past, self.predicted)
        return fragment(f"Gradients in “{self.text}”", paragraph(answer), figure_html(figure, "gradient map"))


def gradient_map(run: RunLike, text: Text, *, layer: int = -1, cell: UserCell | None = None) -> GradientMap:
    """Measures which past tokens the loss on each token of a text still reaches, under the best step of a run.

    Args:
        run: The folder of a run, or a run that is loaded.
        text: The text, or its ids; it follows an end of line.
        layer: The layer that is measured: 0 is nearest to the input, -1 the top.
        cell: The user's own cell that the run was trained with.

    Returns:
        The share of the gradient that is left, between every two tokens.

    Raises:
        UserError: For a run without a recurrent network, and for a text of fewer than 2 or more than 400 tokens, or one
            that the vocabulary cannot encode.
    """
    run, _, layer = load_recurrent(run, layer, cell)
    model, params, vocabulary = run.model, run.params, run.vocabulary
    tokens = to_ids(vocabulary, text)
    if not 2 <= len(tokens) <= MOST_TOKENS:
        raise UserError(f"a map of gradients is of a text of 2 to {MOST_TOKENS} tokens, got {len(tokens)}")
    inputs = np.append(vocabulary.eol_id, tokens)
    log_shares, outputs = _log_shares(model, params, inputs, layer)
    if np.isposinf(log_shares).any() or np.isnan(outputs).any():
        raise UserError(f"gradients must be numbers, got NaN or infinite ones (has the model diverged?) ({run.run})")
    carry = model.initial_carry(params, (1,))
    _, log_probs = model.score(params, carry, inputs[:-1, None], inputs[1:, None])
    return GradientMap(
        run=run.run,
        text=to_text(vocabulary, text),
        level=vocabulary.level,
        layer=layer,
        past=shown_tokens(vocabulary, inputs[:-1]),
        predicted=shown_tokens(vocabulary, inputs[1:]),
        nats=-np.asarray(log_probs[:, 0], np.float64),
        log_shares=log_shares,
        unknown=unknown_words(vocabulary, to_text(vocabulary, text)),
    )


def _log_shares(model, params, inputs, layer) -> tuple[Float[np.ndarray, "N N"], Float[np.ndarray, "N"]]:
    """Returns the map, and the log-norms of the gradients at the output, which the shares are of."""
    flow = gradient_flow(model, params, inputs)
    outputs = flow.output[0]
    log_shares = flow.carry[layer][main_leaf(flow.carry[layer])][0]
    np.fill_diagonal(log_shares, outputs)
    lost = np.isneginf(outputs)  # a loss of exactly zero has no gradient
    log_shares = np.where(lost[:, None], np.nan, log_shares - np.where(lost, 0.0, outputs)[:, None])
    log_shares[np.triu_indices(len(outputs), 1)] = np.nan
    return log_shares, outputs
