"""The answer of vanishing_gradients.py: how far back gradients reach, and how that compares with the claim."""

import numpy as np

from experiments.gradients.vanishing_gradients_figures import CLAIM, DEFINITIONS, STAGES, measured


def said(values) -> str:
    """Horizons of several seeds as words: 7, 7-9, or over 200."""
    known = sorted(value for value in values if value is not None)
    if len(known) < len(values):
        return f"{known[0]} or more" if known else "beyond all lags measured"
    return f"{known[0]}" if known[0] == known[-1] else f"{known[0]}-{known[-1]}"


def answer(results, unit: str) -> str:
    """What was found, in one sentence made of the numbers."""
    parts, verdicts = [], []
    for variant, claim in CLAIM.items():
        definitions = (("all", "horizon_10"), ("h", "horizon_10"), ("all", "mass_lag"), ("", "functional_horizon"))
        carry, by_h, mass, use = (said(measured(results, variant, STAGES[2], *one)) for one in definitions)
        before = said(measured(results, variant, STAGES[0], *definitions[0]))
        near, far = (measured(results, variant, STAGES[2], "all", f) for f in ("factor_1_20", "factor_20_60"))
        factors = "-".join(f"{np.median([f for f in own if f is not None] or [np.nan]):.2f}" for own in (near, far))
        parts.append(
            f"{variant} {carry} (10 % by the carry; {before} before training; by h {by_h}), {mass} (95 % of the norm), "
            f"{use} (functional), factors of a step {factors}"
        )
        if claim:
            right = [words for definition, words in DEFINITIONS.items() if agrees(results, variant, claim, definition)]
            by = f"{len(right)} of {len(DEFINITIONS)} definitions ({'; '.join(right)})" if right else "no definition"
            verdicts.append(f"the {claim} of the {variant} is right within a factor of two by {by}")
    ordered = [words for definition, words in DEFINITIONS.items() if rises(results, definition)]
    order = f"the expected order, RNN below GRU and LSTM, holds for all seeds by: {'; '.join(ordered) or 'none'}"
    claims = f"of the lecture's claim, {', '.join(verdicts)}"
    return f"Horizons after training, in {unit}s: {'; '.join(parts)}; {claims}; {order}."


def agrees(results, variant, claim, definition) -> bool:
    """Whether all seeds are within a factor of two of the claim, after training."""
    values = measured(results, variant, STAGES[2], *definition)
    return all(v is not None and claim / 2 <= v <= claim * 2 for v in values)


def rises(results, definition) -> bool:
    """Whether the RNN's horizon is the shortest, whatever the seeds."""
    rnn, *gated = (
        [np.inf if v is None else v for v in measured(results, variant, STAGES[2], *definition)] for variant in CLAIM
    )
    return all(max(rnn) < min(values) for values in gated)
