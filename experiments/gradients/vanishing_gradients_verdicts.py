"""The expectation of vanishing_gradients.py, part by part."""

import numpy as np

from experiments.gradients.vanishing_gradients_figures import CLAIM, DEFINITIONS, STAGES, measured
from experiments.harness import Verdict


ALIKE = 2  # a factor
SPAN = "factor_20_60"


def rises(results, definition) -> bool:
    """Whether the RNN's horizon is the shortest, whatever the seeds."""
    rnn, *gated = (
        [np.inf if v is None else v for v in measured(results, variant, STAGES[2], *definition)] for variant in CLAIM
    )
    return all(max(rnn) < min(values) for values in gated)


def medians(results, variants, stage: str, leaf: str, field: str) -> dict[str, float]:
    """The median over seeds by variant; infinite beyond what was measured, NaN where nothing is known."""
    beyond = np.nan if field.startswith("factor") else np.inf
    values = {name: measured(results, name, stage, leaf, field) for name in variants}
    return {name: float(np.median([beyond if v is None else v for v in own])) for name, own in values.items()}


def verdicts(results) -> list[Verdict]:
    """The parts of the expectation."""
    ordered = [words for definition, words in DEFINITIONS.items() if rises(results, definition)]
    factors = medians(results, CLAIM, STAGES[2], "all", SPAN)
    before, after = (medians(results, CLAIM, STAGES[k], "all", "horizon_1") for k in (0, 2))
    said = {name: f"{name} {before[name]:.0f} to {after[name]:.0f}" for name in CLAIM}
    gated = min(factors["GRU"], factors["LSTM"])
    return [
        Verdict(
            "horizons in the order RNN < GRU, LSTM, by every definition and for all seeds",
            f"by {len(ordered)} of {len(DEFINITIONS)}: {'; '.join(ordered) or 'none'}",
            len(ordered) == len(DEFINITIONS),
        ),
        Verdict(
            "the factor of a step is below one for all of them (lags 20 to 60, after training)",
            ", ".join(f"{name} {value:.2f}" for name, value in factors.items()),
            max(factors.values()) < 1,
        ),
        Verdict("nearer to one for gated cells", f"{gated:.2f} against {factors['RNN']:.2f}", gated > factors["RNN"]),
        Verdict(
            "training lengthens the horizon of gated cells (1 %, whole carry)",
            f"{said['GRU']}, {said['LSTM']}",
            all(after[name] > before[name] for name in ("GRU", "LSTM")),
        ),
        Verdict("and may shorten that of the RNN", said["RNN"], after["RNN"] < before["RNN"]),
        *(connections(results, cell) for cell in ("RNN", "LSTM")),
    ]


def connections(results, cell: str) -> Verdict:
    """Whether residual and highway connections leave the way back through time as it is."""
    expected = (
        f"connections do not change the way back through time, {cell} (top layer, 1 %, within a factor of {ALIKE})"
    )
    names = [f"{cell}, 4 layers{words}" for words in ("", ", residual", ", highway")]
    if not set(names) <= {one["variant"] for one in results}:
        return Verdict(expected, "-", None)
    plain, *others = medians(results, names, STAGES[2], "all", "horizon_1").values()
    return Verdict(
        expected,
        f"plain {plain:.0f}, residual {others[0]:.0f}, highway {others[1]:.0f}",
        all(plain / ALIKE <= other <= plain * ALIKE for other in others),
    )
