"""Telemetry of models that read sentences: the gradient of their answers by the words, against the distance.

An answer is a label, a tag or a translated word. Of each of a few sentences of the validation data, one answer is
measured: the norm of d log P(answer) / dx_t for the vector x_t of every word, as analysis/source_gradients.py has it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from lm_jax.analysis import chosen_answer_norms
from lm_jax.errors import UserError
from lm_jax.models.opened_encoder import OpenedEncoder
from lm_jax.report.answer_figure import AnswerWords, draw_answers
from lm_jax.tasks.base import MeasureFn, TelemetryKind
from lm_jax.tasks.telemetry import HORIZONS, finite_or_none, horizons_in_words
from lm_jax.training.listener import Telemetry


SENTENCES, LONGEST = 16, 100  # together they take a few training steps of time
STARTS = (0, 1, 2, 5, 10, 20, 40)  # of ranges of distances, each to the beginning of the next


class AskedSentences(NamedTuple):
    """B sentences side by side, and an answer about each.

    inputs, answers, mask: as an `OpenedEncoder` takes them. chosen: which of the K answers of a sentence is measured.
    distances: of each word from that answer, -1 where there is no word.
    """

    inputs: Any
    answers: Any
    mask: Bool[np.ndarray, "T B"]
    chosen: Int[np.ndarray, "B"]
    distances: Int[np.ndarray, "T B"]


def answer_telemetry(ask: Callable[[Any, Any], AskedSentences], words: Callable[[Any], AnswerWords]) -> TelemetryKind:
    """Makes the telemetry of a task.

    Its values are plain numbers: max_distance; log_median, by range of distances, the natural log of the median norm in
    nats by unit of a word's vector; horizon_10 and horizon_1, where the first range begins whose median is below 10 %
    and 1 % of that of the nearest range, None where there is none; and grad_norm. None where something is no finite
    number, such as the logarithm of a gradient of zero: a run that diverges is not stopped here.

    Args:
        ask: (settings, data) -> the sentences that are measured.
        words: settings -> how a person reads of it.
    """

    def build(settings: Any, data: Any, model: Any) -> MeasureFn:
        return build_measure(ask(settings, data), model.opened, words(settings))

    def draw(settings: Any, records: list[dict[str, Any]], path: Path) -> None:
        draw_answers(records, path, words(settings))

    return TelemetryKind(build, draw)


def build_measure(asked: AskedSentences, opened: OpenedEncoder, words: AnswerWords) -> MeasureFn:
    """Makes the measurement.

    Args:
        asked: The sentences.
        opened: The model around its encoder.
        words: How a person reads of it.

    Raises:
        UserError: For sentences without words at two distances.
    """
    ranges = _ranges(asked.distances)
    if len(ranges) < 2:
        longest = int(asked.mask.sum(axis=0).max())
        rule = "telemetry_every needs a validation sentence whose words are at two distances from its answer"
        got = f"sentences of at most {longest} {words.unit}{'s' if longest > 1 else ''}"
        raise UserError(f"{rule}, got {got}", PERIOD)

    @jax.jit
    def norms_of(params):
        chosen, mask = jnp.asarray(asked.chosen), jnp.asarray(asked.mask)
        return chosen_answer_norms(opened, params, asked.inputs, asked.answers, chosen, mask)

    def measure(step, params, grad_norm):
        norms = np.asarray(norms_of(params), np.float64)
        values = {
            "max_distance": int(asked.distances.max()),
            **_by_distance(norms, asked.distances, ranges),
            "grad_norm": finite_or_none(grad_norm),
        }
        return Telemetry(step, values, _in_words(step, values, words))

    return measure


PERIOD = ("telemetry_every",)


def chosen_sentences(lengths: Int[np.ndarray, "N"]) -> Int[np.ndarray, "B"]:
    """Returns the numbers of the sentences to measure: the longest that are not too long; without one, the shortest."""
    order = np.argsort(lengths, kind="stable")
    fitting = order[lengths[order] <= LONGEST]
    return fitting[-SENTENCES:] if len(fitting) else order[:SENTENCES]


def _ranges(distances):
    """The first and last distance of each range in which there is any word."""
    last = int(distances.max())
    ends = [*(start - 1 for start in STARTS[1:]), last]
    ranges = [(start, min(end, last)) for start, end in zip(STARTS, ends, strict=True)]
    return [one for one in ranges if _within(distances, one).any()]


def _within(distances, one):
    return (distances >= one[0]) & (distances <= one[1])


def _by_distance(norms, distances, ranges):
    if not np.isfinite(norms[distances >= 0]).all():
        return {"log_median": {}, **dict.fromkeys(HORIZONS.values())}
    medians = [float(np.median(norms[_within(distances, one)])) for one in ranges]
    with np.errstate(divide="ignore"):
        logs = [finite_or_none(np.log(median)) for median in medians]
    names = [f"{first}" if first == last else f"{first}-{last}" for first, last in ranges]
    horizons = {name: _horizon(share, medians, ranges) for share, name in HORIZONS.items()}
    return {"log_median": dict(zip(names, logs, strict=True)), **horizons}


def _horizon(share, medians, ranges):
    return next((first for (first, _), one in zip(ranges, medians, strict=True) if one < share * medians[0]), None)


def _in_words(step, values, words):
    if not values["log_median"]:
        reach = "is no number"
    else:
        far = horizons_in_words(values, values["max_distance"])
        reach = f"falls below 10 % of the nearest at {far[0]}, 1 % at {far[1]} {words.distance}"
    return f"gradient of a {words.answer} after step {step:,}: {reach}"
