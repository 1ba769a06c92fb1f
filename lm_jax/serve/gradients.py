"""`POST /v1/gradients`: how far back the losses of a text reach, or which words an answer about it rests on."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lm_jax.errors import UserError
from lm_jax.queries import any_gradient_map, attention_map, gradient_map, translate
from lm_jax.queries.classify import explain
from lm_jax.queries.gradient_map import MOST_TOKENS
from lm_jax.queries.token_text import to_ids
from lm_jax.serve.answers import Answer, model_of
from lm_jax.serve.fields import Fields
from lm_jax.serve.models import Served


SIZES = (16, 32, 64, 128, 256, MOST_TOKENS)  # tokens of a compiled program
SENTENCE_SIZES = (16, 32, 64)  # tokens of sentences that are asked about most; longer ones compile when they come
FLOOR = -12.0  # of log10 of a share: less is as good as nothing


def gradients(models: Mapping[str, Served], fields: Fields) -> Answer:
    """Reads the fields; which question is asked depends on the type of the model."""
    served = model_of(models, fields)
    if served.type not in _QUESTIONS:
        raise UserError(f"gradients are of {', '.join(_QUESTIONS)}, got a {served.type}", ["model"])
    return _QUESTIONS[served.type](served, fields)


def _of_language_model(served: Served, fields: Fields) -> Answer:
    text, layer = fields.text("text"), fields.whole("layer", -1, -100, 100)
    position = fields.whole("position", None, 0, fields.limits.text)
    fields.close()

    def answer():
        ids = to_ids(served.run.vocabulary, text)
        first, count = _window(len(ids), position)
        if count < 2:
            raise UserError(f"gradients between tokens need a text of at least two, got {len(ids)}", ["text"])
        # what comes later changes no gradient before it: texts of many lengths share one compiled program
        padded = np.full(next(size for size in SIZES if size >= count), served.run.vocabulary.eol_id, np.int32)
        padded[:count] = ids[first : first + count]
        found = gradient_map(served.run, padded, layer=layer)
        shares = found.log_shares[:count, :count] / np.log(10)
        return {
            "model": served.name,
            "first": first,
            "past": found.past[:count],
            "predicted": found.predicted[:count],
            "nats": np.round(found.nats[:count], 4).tolist(),
            "log10_shares": [np.round(np.maximum(row[: i + 1], FLOOR), 2).tolist() for i, row in enumerate(shares)],
            "profile": _profile(shares),
        }

    return answer


def _window(length: int, position: int | None) -> tuple[int, int]:
    """The first token of the part of a text that is measured, and how many: up to the position, and a little on."""
    if length <= MOST_TOKENS or position is None:
        first = max(0, length - MOST_TOKENS)
    else:
        first = min(max(0, position + 1 - MOST_TOKENS + 20), length - MOST_TOKENS)
    return first, min(length, MOST_TOKENS)


def _profile(shares: np.ndarray) -> list[float | None]:
    """The median over predictions of log10 of the share that is left, by lag from 0."""
    medians = []
    for lag in range(len(shares)):
        row = np.diagonal(shares, -lag)
        row = np.maximum(row[~np.isnan(row)], FLOOR)
        medians.append(round(float(np.median(row)), 3) if len(row) else None)
    return medians


def _of_words(served: Served, text: str) -> dict[str, Any]:
    """Which words each answer rests on: gradients by the vectors of the words, a row an answer."""
    found: Any = any_gradient_map(served.run, text)
    return {
        "model": served.name,
        "source": found.source,
        "answers": found.answers,
        "probabilities": np.round(np.exp(found.log_probs), 6).tolist(),
        "norms": np.round(found.norms, 6).tolist(),
    }


def _of_sentence(served: Served, fields: Fields) -> Answer:
    text = fields.text("text")
    fields.close()
    return lambda: about_sentence(served, text)


def about_sentence(served: Served, text: str) -> dict[str, Any]:
    """Answers what a model that reads a sentence says about it, and which of its words that rests on.

    Args:
        served: A classifier, a translator or a tagger.
        text: The sentence.

    Raises:
        UserError: For a text that it cannot read.
    """
    record = _of_words(served, text)
    return record | _BESIDES[served.type](served, text)


def _decision(served: Served, text: str) -> dict[str, Any]:
    found = explain(served.run, text)
    rounded = {name: np.round(getattr(found, name), 5).tolist() for name in ("gradient", "occlusion", "reach")}
    return {"label": found.label, "probability": round(found.probability, 6), **rounded}


def _attention(served: Served, text: str) -> dict[str, Any]:
    """The translation, and the weights of attention where the model has them."""
    translation = translate(served.run, [text])[0][0].text
    try:
        weights = np.round(attention_map(served.run, text, translation).weights, 4).tolist()
    except UserError:  # a translator without attention
        weights = None
    return {"translation": translation, "attention": weights}


# what each type of model that reads a sentence tells besides
_BESIDES: dict[str, Callable[[Served, str], dict[str, Any]]] = {
    "classifier": _decision,
    "translator": _attention,
    "tagger": lambda served, text: {},
}
_QUESTIONS: dict[str, Callable[[Served, Fields], Answer]] = {
    "language model": _of_language_model,
    **dict.fromkeys(_BESIDES, _of_sentence),
}
