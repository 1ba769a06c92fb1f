"""Questions that are answered at once: what comes next, and how likely a text was.

Each is read from the fields of a request into a function without arguments, which the lane calls.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lm_jax.errors import UserError
from lm_jax.queries import Reading
from lm_jax.serve.fields import Fields
from lm_jax.serve.limits import Refusal
from lm_jax.serve.models import Served, with_reader


Answer = Callable[[], dict[str, Any]]
DIGITS = 5  # after the point


def model_of(models: Mapping[str, Served], fields: Fields) -> Served:
    """Returns the model that a request names, the first one where it names none; raises Refusal (404) for another."""
    name = fields.any("model", next(iter(models)))
    if not isinstance(name, str) or name not in models:
        raise Refusal(404, f"the model must be one of {', '.join(models)}, got {str(name)[:60]!r}")
    return models[name]


def next_tokens(models: Mapping[str, Served], fields: Fields) -> Answer:
    """`POST /v1/next`: the likeliest next tokens."""
    served = model_of(models, fields)
    reader, text, k = with_reader(served), fields.text("text"), fields.whole("k", 10, 1, 50)
    fields.close()
    return lambda: {"model": served.name, **_next(served, text, reader.read(text, k))}


def score(models: Mapping[str, Served], fields: Fields) -> Answer:
    """`POST /v1/score`: every token of a text, and what comes next."""
    served = model_of(models, fields)
    reader, text, k = with_reader(served), fields.text("text"), fields.whole("k", 10, 1, 50)
    first = fields.whole("first", 0, 0, fields.limits.text)
    fields.close()

    def answer():
        reading = reader.read(text, k)
        return {"model": served.name, **_scores(reading, first), **_next(served, text, reading)}

    return answer


def _next(served: Served, text: str, reading: Reading) -> dict[str, Any]:
    """The likeliest next tokens, and the characters that each puts behind the text: none for a part of a character."""
    vocabulary = served.run.vocabulary
    found = []
    for token, probability in reading.next:
        added = "".join(vocabulary.pieces([vocabulary.ids[token]], after=text)).replace("\N{REPLACEMENT CHARACTER}", "")
        found.append({"token": token, "text": added, "probability": round(probability, 8)})
    return {"next": found, "entropy": _rounded(reading.entropies[-1:])[0]}


def _scores(reading: Reading, first: int) -> dict[str, Any]:
    """first: the token from which on they are told; whoever types has the answer about those before it."""
    return {
        "first": min(first, len(reading.tokens)),
        "tokens": reading.names[first:],
        "texts": reading.texts[first:],
        "log_probs": _rounded(reading.log_probs[first:]),
        "ranks": reading.ranks[first:].tolist(),
        "entropies": _rounded(reading.entropies[first:-1]),
        "log_prob": float(np.sum(reading.log_probs, dtype=np.float64)),
        "unknown": reading.unknown[:20],
    }


def _rounded(values: np.ndarray) -> list[float]:
    """As numbers that are short to send."""
    if np.isnan(values).any():
        raise UserError("log-probabilities must be numbers, got nan (has the model diverged?)")
    return np.round(values.astype(np.float64), DIGITS).tolist()
