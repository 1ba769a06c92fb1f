"""Which words of a sentence an answer about it rests on, and which states of the encoder: gradients, exactly.

An answer is the label of a text, the tag of each of its words, or each word of a translation, given the true words
before it. For answer k, position t of the sentence, x_t what the encoder reads there and s_t a state:

    norms[k, t] = || d log P(answer_k | sentence) / dx_t ||        in nats by unit of the word's vector
    states      = || d log P(answer_k | sentence) / ds_t ||        the same by each state (analysis/source_gradients.py)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lm_jax.analysis import answer_gradients
from lm_jax.analysis.checks import checked_layer
from lm_jax.errors import UserError
from lm_jax.inference.generation import bucket_of
from lm_jax.inference.translation import SHORTEST_ALONE
from lm_jax.models.build_tagger import word_length
from lm_jax.models.tagger import TaggerInputs
from lm_jax.models.translator import teacher_forced
from lm_jax.queries.classify import classify, encode_text
from lm_jax.queries.gradient_map import GradientMap, gradient_map
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_loaded
from lm_jax.queries.tag import tag, words_of
from lm_jax.queries.translate import END, encode_source, translate
from lm_jax.report.html import figure_html, fragment, paragraph
from lm_jax.report.source_map import answer, source_figure
from lm_jax.short_repr import shortly_shown


@shortly_shown
class StateGradients(NamedTuple):
    """Gradients by one state: layer, 0 the lowest; direction, "left to right" or "right to left"; leaf of the carry,
    "all" for several leaves combined; norms of K answers by S positions."""

    layer: int
    direction: str
    leaf: str
    norms: Float[np.ndarray, "K S"]


@shortly_shown
class SourceGradientMap(NamedTuple):
    """Gradients of answers with respect to the words of a sentence.

    source: S words as the model reads them. answers: K labels, tags or words of a translation. log_probs: of each, in
    nats. norms: by the vector of each word. states: by each state.
    """

    run: str
    text: str
    source: tuple[str, ...]
    answers: tuple[str, ...]
    log_probs: Float[np.ndarray, "K"]
    norms: Float[np.ndarray, "K S"]
    states: tuple[StateGradients, ...]

    def _repr_html_(self) -> str:
        picture = figure_html(source_figure(self), "gradients by word")
        return fragment(f"Gradients in “{self.text}”", paragraph(answer(self)), picture)


def label_gradients(
    run: RunLike, text: str, label: str | None = None, *, layer: int | None = None, cell: UserCell | None = None
) -> SourceGradientMap:
    """Measures the words and states that the label of a text depends on.

    Args:
        run: The folder of a classifier's run, or a run that is loaded.
        text: A text.
        label: One of the run's labels. Default: the most probable one.
        layer: The layer whose states are measured, 0 is nearest to the input, -1 the top. Default: all.
        cell: The user's own cell that the run was trained with.

    Returns:
        The gradients of one answer.

    Raises:
        UserError: For no run of a classifier, a text that is empty or too long, and a label that the run lacks.
    """
    loaded = as_loaded(run, cell, "classifier")
    ids, labels = encode_text(loaded, text), loaded.vocabulary.label_ids
    label = classify(loaded, [text])[0].label if label is None else label
    if label not in labels:
        raise UserError(f"target must be a label of the run, {', '.join(labels)}, got {label!r}", ["target"])
    source = loaded.vocabulary.split(text)
    return _map(loaded, text, source, [label], ids[:, None], np.asarray([labels[label]]), layer)


def tag_gradients(
    run: RunLike,
    sentence: str,
    tags: str | None = None,
    *,
    layer: int | None = None,
    cell: UserCell | None = None,
) -> SourceGradientMap:
    """Measures which words and states each tag of a sentence rests on, by the logarithm of its own probability.

    Args:
        run: The folder of a tagger's run, or a run that is loaded.
        sentence: Words with white space between.
        tags: As many tags of the run, with white space between. Default: the most probable string.
        layer: The layer whose states are measured, 0 is nearest to the input, -1 the top. Default: all.
        cell: The user's own cell that the run was trained with.

    Returns:
        The gradients, an answer a word.

    Raises:
        UserError: For no run of a tagger, a sentence without a word or with too many, and other tags or another number.
    """
    loaded = as_loaded(run, cell, "tagger")
    vocabulary, config = loaded.vocabulary, loaded.config.model
    words = words_of(loaded, sentence)
    chosen = tag(loaded, sentence).tags if tags is None else tags.split()
    if len(chosen) != len(words) or not set(chosen) <= set(vocabulary.tags):
        rule = f"target must be a tag for each of the {len(words)} words, of {', '.join(vocabulary.tags)}"
        raise UserError(f"{rule}, got {' '.join(chosen)!r}", ["target"])
    ids, characters, _ = vocabulary.encode_words(words, word_length(config), config.fold_case)
    answers = np.asarray([vocabulary.tags.index(one) for one in chosen])[:, None]
    answers, _ = _padded(answers)
    inputs = TaggerInputs(ids[:, None], characters[:, None])
    return _map(loaded, sentence, words, chosen, inputs, answers, layer)


def translation_gradients(
    run: RunLike,
    text: str,
    translation: str | None = None,
    *,
    layer: int | None = None,
    cell: UserCell | None = None,
) -> SourceGradientMap:
    """Measures which source words and states each word of a translation rests on, given the words before it.

    Args:
        run: The folder of a translator's run, or a run that is loaded.
        text: A sentence.
        translation: Any translation of it. Default: the model's own.
        layer: The layer whose states are measured, 0 is nearest to the input, -1 the top. Default: all.
        cell: The user's own cell that the run was trained with.

    Returns:
        The gradients, an answer a token of the translation, its end the last.

    Raises:
        UserError: For no run of a translator, and a text that cannot be read.
    """
    loaded = as_loaded(run, cell, "translator")
    vocabulary, source = loaded.vocabulary, encode_source(loaded, text)
    ids = vocabulary.encode_target(translate(loaded, [text])[0][0].text if translation is None else translation)
    said = [*vocabulary.target_tokens(ids[:-1]), END]
    padded, real = _padded(ids[:, None])
    answers = teacher_forced(jnp.where(real, padded, -1), vocabulary.target.eol_id)
    return _map(loaded, text, vocabulary.source_tokens(text), said, source[:, None], answers, layer)


def _map(
    run: LoadedRun, text: str, source: list[str], said: list[str], inputs: Any, answers: Any, layer: int | None
) -> SourceGradientMap:
    """The map of one sentence, whose inputs have leaves [S, 1, ...]; padding changes nothing."""
    inputs, mask = _padded(inputs)
    found = answer_gradients(run.model.opened, run.params, inputs, answers, jnp.asarray(mask))
    layers = 1 + max(name.layer for name in found.states)
    wanted = range(layers) if layer is None else [checked_layer(layer, layers)]
    states = tuple(
        StateGradients(
            name.layer, "right to left" if name.backward else "left to right", name.leaf, _cut(norms, said, source)
        )
        for name, norms in sorted(found.states.items())
        if name.layer in wanted
    )
    log_probs, norms = np.asarray(found.values)[: len(said), 0], _cut(found.inputs, said, source)
    return SourceGradientMap(run.run, text, tuple(source), tuple(said), log_probs, norms, states)


def _padded(inputs: Any) -> tuple[Any, np.ndarray]:
    """Returns inputs to a power of two, and the mask [S, 1]: sentences of many lengths share one compiled program.
    The first token stands at padding, too: it is one that can be read."""
    length = len(jax.tree.leaves(inputs)[0])
    real = np.arange(bucket_of(max(SHORTEST_ALONE, length))) < length
    return jax.tree.map(lambda a: np.asarray(a)[np.where(real, np.arange(len(real)), 0)], inputs), real[:, None]


def _cut(norms: Any, said: list[str], source: list[str]) -> np.ndarray:
    """Norms [K, S, 1] of what is no padding."""
    return np.asarray(norms)[: len(said), : len(source), 0]


def any_gradient_map(
    run: RunLike, text: str, target: str | None = None, *, layer: int | None = None, cell: UserCell | None = None
) -> GradientMap | SourceGradientMap:
    """Measures what the predictions about a short text rest on, for the run of any task.

    Args:
        run: The folder of a run, or a run that is loaded.
        text: A text as the run's model reads one.
        target: What to explain instead of the model's own answer: a label, tags, a translation.
        layer: The layer that is measured. Default: of a language model the top, of an encoder all.
        cell: The user's own cell that the run was trained with.

    Returns:
        Of a language model, which past tokens the loss on each token still reaches; otherwise the gradients of the
        answers.

    Raises:
        UserError: For a model without a recurrent network, a text that cannot be read, a target that is no answer, and
            a layer that is not there.
    """
    loaded = as_loaded(run, cell)
    model_type = loaded.task.model_type
    if model_type not in MAPS:
        rule = f"gradients of a text are those of a {', '.join(list(MAPS)[:-1])} or {list(MAPS)[-1]}"
        raise UserError(f"{rule}, got a {model_type}: {loaded.path}")
    return MAPS[model_type](loaded, text, target, layer=layer)


def _of_language_model(run: LoadedRun, text: str, target: str | None, *, layer: int | None) -> GradientMap:
    if target is not None:
        raise UserError(f"a language model predicts the text itself, got target {target!r} too", ["target"])
    return gradient_map(run, text, layer=-1 if layer is None else layer)


# how a text is explained, by the type of model
MAPS: dict[str, Callable[..., GradientMap | SourceGradientMap]] = {
    "language model": _of_language_model,
    "classifier": label_gradients,
    "tagger": tag_gradients,
    "translator": translation_gradients,
}
