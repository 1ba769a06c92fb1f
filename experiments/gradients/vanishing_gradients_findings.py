"""What the networks of vanishing_gradients.py say: how far back gradients reach, beside the claim."""

from typing import Any

import numpy as np

from experiments.gradients.vanishing_gradients_figures import (
    CLAIM,
    DEFINITIONS,
    FORGET_BIASES,
    INITIALISATIONS,
    STACKS,
    STAGES,
    measured,
    pictures,
)
from experiments.gradients.vanishing_gradients_verdicts import verdicts
from experiments.harness import Findings
from experiments.harness.means import RANGE, number, with_range
from experiments.harness.rows import only


WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven")
COLUMNS = {
    "variant": "cell, what its weights or biases began at, layers and what connects them",
    "seed": "of the draw of weights and batches",
    "stage": "at initialisation, early in training, or after it",
    "step": "training steps",
    "layer": "of a stack, 0 the lowest",
    "leaf": "of the carry: h, c, or all of it",
    "horizon_10": "lag at which the median gradient is below 10 %",
    "horizon_1": "lag at which the median gradient is below 1 %",
    "half_life": "lag at which the median gradient is below a half",
    "mass_lag": "lag within which 95 % of the gradient norm lies",
    "factor_1_20": "factor of the median gradient a step back, lags 1 to 20",
    "factor_20_60": "the same, lags 20 to 60",
    "functional_horizon": "shortest context that costs less than 1 % of cross-entropy",
    "valid_loss": "on held-out text (nats a token)",
    **{words: f"horizon by this definition{RANGE if k == 0 else ''}" for k, words in enumerate(DEFINITIONS.values())},
    "factor, lags 20 to 60": "factor of the median gradient by the whole carry a step back",
}


def to_rows(results) -> list[dict]:
    """A line for every profile."""
    columns = ("layer", "leaf", "horizon_10", "horizon_1", "half_life", "mass_lag", "factor_1_20", "factor_20_60")
    facts, more = ("variant", "seed", "stage", "step"), ("functional_horizon", "valid_loss")
    return [
        only(result, facts) | only(found, columns) | only(result, more)
        for result in results
        for found in result["profiles"]
    ]


def scale_rows(scales) -> list[dict]:
    """A line for every size of the embedding."""
    columns = ("seed", "layer", "leaf", "horizon_10", "horizon_1", "factor_1_20")
    return [
        {"variant": f"{found['variant']}, embedding +-{found['embedding_bound']:g}", "stage": STAGES[0], "step": 0}
        | only(found, columns)
        for found in scales
    ]


def agrees(results, variant: str, claim: int, definition) -> bool:
    """Whether all seeds are within a factor of two of the claim, after training."""
    values = measured(results, variant, STAGES[2], *definition)
    return all(v is not None and claim / 2 <= v <= claim * 2 for v in values)


def short_table(networks) -> list[dict[str, Any]]:
    """A line for RNN, GRU and LSTM at each stage: every definition of horizon."""
    lines = []
    for variant in CLAIM:
        for stage in STAGES:
            row = {"variant": variant, "stage": stage}
            for definition, words in DEFINITIONS.items():
                row[words] = with_range(measured(networks, variant, stage, *definition))
            factors = [f for f in measured(networks, variant, stage, "all", "factor_20_60") if f is not None]
            lines.append(row | {"factor, lags 20 to 60": with_range(factors, number)})
    return lines


def middle(networks, variant: str, leaf: str, field: str, stage: str = STAGES[2]) -> float:
    """The median over seeds, after training; infinite where it is beyond what was measured."""
    values = measured(networks, variant, stage, leaf, field)
    return float(np.median([np.inf if value is None else value for value in values]))


def findings(results: dict[str, Any]) -> Findings:
    """What the networks say."""
    networks, unit, largest = results["networks"], results.get("unit", "character"), results.get("largest", 200)
    right = {
        variant: [words for definition, words in DEFINITIONS.items() if agrees(networks, variant, claim, definition)]
        for variant, claim in CLAIM.items()
        if claim
    }
    counts = {variant: WORDS[len(found)] for variant, found in right.items()}
    one_percent = {variant: middle(networks, variant, "all", "horizon_1") for variant in CLAIM}
    title = (
        f"After training the RNN's gradient is below 1 % after {one_percent['RNN']:.0f} {unit}s, the LSTM's after "
        f"{one_percent['LSTM']:.0f}"
    )
    return Findings(
        title=title,
        answer=f"An RNN's reach of {CLAIM['RNN']} tokens, as lectures claim, holds by {counts['RNN']} of "
        f"{WORDS[len(DEFINITIONS)]} definitions, an LSTM's {CLAIM['LSTM']} by {counts['LSTM']}.",
        verdicts=verdicts(networks),
        means=short_table(networks),
        rows=to_rows(networks) + scale_rows(results["embedding_scales"]),
        columns=COLUMNS,
        pictures=pictures(networks, unit, largest, {"main": title} | titles(networks, counts)),
        seeds=sorted({one["seed"] for one in networks}),
    )


def titles(networks, counts: dict[str, str]) -> dict[str, str]:
    """The findings of the other pictures."""
    before, after = (middle(networks, "RNN", "h", "horizon_1", STAGES[k]) for k in (0, 2))
    found = {
        "by_h": f"Training shortens the RNN's memory: 1 % by h is left after {after:.0f} steps, not {before:.0f}",
        "horizons": f"Of seven definitions {counts['RNN']} give the RNN's claim, {counts['LSTM']} the LSTM's",
    }
    if not {*INITIALISATIONS, *FORGET_BIASES, *STACKS} <= {one["variant"] for one in networks}:
        return found
    starts = [middle(networks, name, "h", "horizon_1") for name in INITIALISATIONS]
    biases = [f"{middle(networks, name, 'c', 'horizon_1'):.0f}" for name in FORGET_BIASES]
    found["initialisations"] = f"However the RNN begins, trained it is below 1 % within {max(starts):.0f} steps"
    found["forget_biases"] = f"Trained with forget bias 0, 1 and 3, c is below 1 % after {', '.join(biases)} steps"
    for cell in ("RNN", "LSTM"):
        tops = [middle(networks, name, "h", "horizon_1") for name in STACKS if name.startswith(cell)]
        one = middle(networks, cell, "h", "horizon_1")
        found[f"stacks_{cell.lower()}"] = (
            f"The top of trained stacks of {cell} layers is below 1 % after {min(tops):.0f} to {max(tops):.0f} steps, "
            f"one layer after {one:.0f}"
        )
    return found
