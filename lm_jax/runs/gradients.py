"""How far back the gradients of a run's model reach: by distance in a long text, and token by token in a short one."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from lm_jax.analysis import LagProfile, gradient_flow, lag_profile
from lm_jax.analysis.checks import checked_layer
from lm_jax.data.batching import cut_streams
from lm_jax.data.corpora import check_split, load_split
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError, check_sizes
from lm_jax.runs.folder import read_run
from lm_jax.runs.load import Loaded, load


MAX_LAG = 100
MOST_TOKENS = 400  # of a map that a person can still read


class Gradients(NamedTuple):
    """Gradient by distance.

    source, split: of the text. level: what a token is. texts, length: how many texts of how many predictions.
    warm_up: tokens that were read before each, so that it does not begin with an empty carry. max_lag: the largest.
    profiles: of each layer, counted from the input, by leaf of its carry ("h", "c", "all").
    layer: the one that was asked for.
    """

    run: str
    source: str
    split: str
    level: str
    texts: int
    length: int
    warm_up: int
    max_lag: int
    profiles: tuple[dict[str, LagProfile], ...]
    layer: int

    @property
    def profile(self) -> dict[str, LagProfile]:
        """Of the layer that was asked for."""
        return self.profiles[self.layer]


class TextGradients(NamedTuple):
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


def gradients(
    run: str | Path,
    data: str | None = None,
    split: str = "valid",
    *,
    texts: int = 16,
    length: int = 200,
    max_lag: int | None = None,
    layer: int = -1,
) -> Gradients:
    """How the gradient falls with distance, under the best step of a run, in a text (default: the run's own).

    data, split: as of `evaluate`. texts, length: how many texts, from all over the split, of how many predictions;
    fewer and then shorter ones where the split has not that much. Each is read with the carry of what stands before
    it; a run of sentence mode knows no such carry: there the texts are the longest lines.
    max_lag: 100 by default, or all lags of shorter texts. layer: 0 is nearest to the input, -1 the top.
    Raises UserError for a run without a recurrent network, a text of fewer than two tokens or one that the vocabulary
    cannot encode, a max_lag that no prediction has, and gradients that are no numbers.
    """
    check_sizes(texts=texts, length=length)
    check_split(split)
    config, loaded, layer = _open(run, layer)
    model, params, vocabulary = loaded
    source = (config.data.data if data is None else data, vocabulary.level, config.data.text_column)
    text = load_split(*source, split)
    tokens, warm_up = cut_texts(vocabulary.encode(text), vocabulary.eol_id, config.mode, texts, length)
    length = len(tokens) - 1 - warm_up
    if length < 2:
        raise UserError(f"gradients between tokens need a text of at least two, got {length} ({split} of {source[0]})")
    largest = min(MAX_LAG, length - 1) if max_lag is None else max_lag
    if largest >= length:
        raise UserError(f"max_lag must be below the number of predictions of a text, {length}, got {max_lag}")
    carry = model.initial_carry(params, tokens.shape[1:])
    if warm_up:
        carry, _, _ = model.opened.hidden(params, carry, tokens[:warm_up])  # without logits [W, B, V]
    flow = gradient_flow(model, params, tokens[warm_up:], carry=carry, max_lag=largest)
    profiles = tuple(
        {leaf: lag_profile(flow, layer=k, leaf=leaf) for leaf in leaves} for k, leaves in enumerate(flow.carry)
    )
    name = "pydoc_data.topics" if source[0] is None else str(source[0])
    sizes = (tokens.shape[1], length, warm_up, largest)
    return Gradients(str(run), name, split, vocabulary.level, *sizes, profiles, layer)


def _open(run, layer) -> tuple[Any, Loaded, int]:
    """The configuration, the model, and the layer counted from the input; UserError for what has no recurrence."""
    config, _, _ = read_run(run)
    kind = "an n-gram model" if config.family == "ngram" else "a window" if config.model.model == "window" else None
    if kind is not None:
        raise UserError(f"gradients through time need a recurrent network, got {kind} ({run})")
    return config, load(run), checked_layer(layer, config.model.layers)


def cut_texts(tokens: np.ndarray, eol_id: int, mode: str, texts: int, length: int) -> tuple[np.ndarray, int]:
    """Texts [W + T + 1, B] of a long one, ids [N], each after an end of line; and W, the tokens that are only read.

    texts, length: B and T as they are wanted; where there is not that much, B is less, and then T. W is up to T, 0 in
    sentence mode, where the texts are the longest lines, if half as long as wanted or as the longest.
    """
    if mode == "sentence":
        lines = np.split(tokens, np.flatnonzero(tokens == eol_id) + 1)
        length = min(length, max(map(len, lines)))
        lines = sorted((line for line in lines if 2 * len(line) >= length), key=len, reverse=True)[:texts]
        length = min(length, len(lines[-1]))
        return np.stack([np.append(eol_id, line[:length]) for line in lines], axis=1), 0
    texts = max(1, min(texts, len(tokens) // length))
    part = len(tokens) // texts
    length = min(length, part)
    warm_up = min(length, part - length)
    return cut_streams(tokens, texts, eol_id).tokens[: warm_up + length + 1], warm_up


def text_gradients(run: str | Path, text: str, *, layer: int = -1) -> TextGradients:
    """Which past tokens the loss on each token of a text still reaches, under the best step of a run.

    The text follows an end of line, as for `score` and `complete`. layer: 0 is nearest to the input, -1 the top.
    Raises UserError for a run without a recurrent network, and for a text of fewer than 2 or more than 400 tokens, or
    one that the vocabulary cannot encode.
    """
    _, (model, params, vocabulary), layer = _open(run, layer)
    tokens = vocabulary.encode(text)
    if not 2 <= len(tokens) <= MOST_TOKENS:
        raise UserError(f"a map of gradients is of a text of 2 to {MOST_TOKENS} tokens, got {len(tokens)}")
    inputs = np.append(vocabulary.eol_id, tokens)
    flow = gradient_flow(model, params, inputs)
    log_shares = flow.carry[layer]["h"][0]
    np.fill_diagonal(log_shares, flow.output[0])
    lost = np.isneginf(flow.output[0])  # a loss of exactly zero has no gradient
    log_shares = np.where(lost[:, None], np.nan, log_shares - np.where(lost, 0.0, flow.output[0])[:, None])
    log_shares[np.triu_indices(len(tokens), 1)] = np.nan
    if np.isposinf(log_shares).any() or np.isnan(flow.output).any():
        raise UserError(f"gradients must be numbers, got NaN or infinite ones (has the model diverged?) ({run})")
    carry = model.initial_carry(params, (1,))
    _, log_probs = model.score(params, carry, inputs[:-1, None], inputs[1:, None])
    names = _names(vocabulary, inputs)
    nats = -np.asarray(log_probs[:, 0], np.float64)
    unknown = _unknown(vocabulary, text)
    return TextGradients(str(run), text, vocabulary.level, layer, names[:-1], names[1:], nats, log_shares, unknown)


def _names(vocabulary: Vocabulary, ids) -> tuple[str, ...]:
    """Each token as it can be shown: white space by a sign for it, bytes that are no text by their number."""
    names = []
    for i in ids:
        name = vocabulary.tokens[i] if vocabulary.level in ("char", "word") else vocabulary.decode([i])
        name = "\n" if i == vocabulary.eol_id else vocabulary.tokens[i] if "\N{REPLACEMENT CHARACTER}" in name else name
        name = name.replace(" ", "␣").replace("\n", "⏎")
        names.append(name if name.isprintable() else repr(name)[1:-1])
    return tuple(names)


def _unknown(vocabulary, text):
    """Each once, in the order of the text."""
    if vocabulary.unk_id is None:
        return ()
    return tuple(dict.fromkeys(word for word in text.split() if word not in vocabulary.ids))
