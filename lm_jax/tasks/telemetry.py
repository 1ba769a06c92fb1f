"""Telemetry of a recurrent language model while it trains: reach of its gradient, and divergence of its states."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lm_jax.analysis import gradient_flow, lag_profile, lyapunov_exponents
from lm_jax.analysis.trajectory import main_leaf
from lm_jax.data.corpora import Corpus
from lm_jax.data.excerpts import cut_texts
from lm_jax.errors import UserError
from lm_jax.models.language_model import LanguageModel
from lm_jax.report import telemetry_figure
from lm_jax.report.figures import UNITS
from lm_jax.tasks.base import MeasureFn
from lm_jax.training.listener import Telemetry


TEXTS, LENGTH = 2, 64  # a few hundredths of the time of some hundred steps
LAGS = (1, 2, 5, 10, 20, 40)
EXPONENTS = 3
HORIZONS = {0.1: "horizon_10", 0.01: "horizon_1"}


def build_telemetry(settings: Any, corpus: Corpus, model: LanguageModel) -> MeasureFn:
    """Makes the measurement on two texts of 64 predictions, at the beginning of the validation text.

    Its values are plain numbers, of the leaf h of the top layer, or of all its leaves together where none is called so:
    max_lag, the largest lag; log_median, by lag, the natural log of the median share of the gradient; horizon_10 and
    horizon_1, the first lag where it is below 10 % and 1 %; lyapunov, the largest exponents in nats per step, means
    over the texts; and grad_norm. None where a horizon is beyond max_lag, or where something is no finite number: a run
    that diverges is not stopped here.

    Args:
        settings: The settings of the run.
        corpus: Its texts.
        model: A recurrent language model.

    Raises:
        UserError: For a validation text of fewer than two tokens.

    """
    eol_id, tokens = corpus.vocabulary.eol_id, corpus.valid
    if settings.mode == "stream":
        tokens = tokens[: 2 * TEXTS * LENGTH]  # each text, and as much before it
    texts, warm_up = cut_texts(tokens, eol_id, settings.mode, TEXTS, LENGTH)
    before: Any = texts[:warm_up]
    measured = texts[warm_up:]
    if len(measured) < 3:
        raise UserError(f"telemetry needs a validation text of at least two tokens, got {len(tokens)}")

    @jax.jit
    def carry_of(params):
        carry = model.initial_carry(params, measured.shape[1:])
        return model.unroll(params, carry, before)[0] if warm_up else carry

    def measure(step, params, grad_norm):
        carry = carry_of(params)
        values = {
            "max_lag": len(measured) - 2,
            **_profile(model, params, measured, carry),
            "lyapunov": _exponents(model, params, measured[:-1], carry),
            "grad_norm": finite_or_none(grad_norm),
        }
        return Telemetry(step, values, _words(step, values, UNITS[settings.data.level]))

    return measure


def draw_telemetry(settings: Any, records: list[dict[str, Any]], path: Path) -> None:
    """Draws the horizons of the telemetry in metrics.jsonl against the step.

    Args:
        settings: The settings of the run.
        records: The lines of metrics.jsonl.
        path: The file.
    """
    telemetry_figure.draw_telemetry(records, path, settings.data.level)


def _words(step, values, unit):
    exponents = " ".join("-" if one is None else f"{one:+.3f}" for one in values["lyapunov"]) or "-"
    if not values["log_median"]:
        reach = "is no number"
    else:
        lags = horizons_in_words(values, values["max_lag"])
        reach = f"falls below 10 % at lag {lags[0]}, 1 % at {lags[1]} ({unit}s)"
    return f"gradient after step {step:,}: {reach}; Lyapunov exponents {exponents} nats per step"


def horizons_in_words(values: dict[str, Any], farthest: int) -> list[str]:
    """Returns the horizons of a measurement, such as ["12", ">62"]: one that is None lies beyond what is measured.

    Args:
        values: With a number or None for each name of `HORIZONS`.
        farthest: The largest lag or distance that is measured.
    """
    return [f">{farthest}" if values[name] is None else str(values[name]) for name in HORIZONS.values()]


def _profile(model, params, tokens, carry):
    try:
        flow = gradient_flow(model, params, tokens, carry=carry)
        profile = lag_profile(flow, leaf=main_leaf(flow.carry[-1]), resamples=0)
    except UserError:  # gradients that are no numbers
        return {"log_median": {}, **dict.fromkeys(HORIZONS.values())}
    medians = {str(lag): finite_or_none(profile.log_median[lag - 1]) for lag in LAGS if lag <= len(profile.lags)}
    return {"log_median": medians, **{name: profile.horizons[share] for share, name in HORIZONS.items()}}


def _exponents(model, params, tokens, carry):
    size = sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(carry))
    try:
        exponents = lyapunov_exponents(model, params, tokens, count=min(EXPONENTS, size), carry=carry)
    except UserError:  # states that are no numbers
        return []
    return [finite_or_none(exponent) for exponent in np.mean(exponents, axis=0)]


def finite_or_none(number: Any) -> float | None:
    """Returns a number as JSON has it: None for one that is none, or infinite."""
    return float(number) if math.isfinite(number) else None
