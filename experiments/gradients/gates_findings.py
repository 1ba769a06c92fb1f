"""What the gates of gates.py say."""

from typing import Any

import numpy as np

from experiments.gradients.gates_figures import (
    FORCED_STEPS,
    SHOWN,
    STAGES,
    VARIANTS,
    constants,
    pictures,
    time_constant,
)
from experiments.harness import Findings, Verdict
from experiments.harness.means import INTERVAL, RANGE, means, share_with_interval, with_interval, with_range
from experiments.harness.rows import where
from lm_jax.report.study import Picture


SHARES = (0.1, 0.5, 0.9)
LONG = 100
# the time constants that biases alone give; the GRU has none
OF_BIAS = {
    name: float(time_constant(1 / (1 + np.exp(-kind.get("forget_bias", 0.0))))) for name, kind in VARIANTS.items()
}
NEAR, FAR = 0.1, 2  # relative difference; times the longest that a bias gives
COLUMNS = {
    "variant": "cell, and what its forget gate's bias began at",
    "seed": "of the draw of weights and batches",
    "stage": "before or after training",
    "n": "networks",
    "tau_10": "time constant that 10 % of the units are below (steps)" + INTERVAL,
    "tau_50": "median time constant of the units (steps)",
    "tau_90": "time constant that 90 % of the units are below (steps)",
    "tau_longest": "longest time constant of a unit (steps)" + RANGE,
    "units_above_10": "share of units with a time constant above 10 steps",
    f"units_above_{LONG}": f"share of units with a time constant above {LONG} steps",
    "mean_reset": "mean value of the GRU's reset gate",
    "mean_update": "mean value of the GRU's update gate (1 keeps)",
    "mean_forget": "mean value of the LSTM's forget gate (1 keeps)",
    "mean_input": "mean value of the LSTM's input gate",
    "mean_output": "mean value of the LSTM's output gate",
    "saturated": "share of gate values below 0.1 or above 0.9",
    "valid_loss": "on held-out text (nats per character)",
}


def to_rows(results) -> list[dict[str, Any]]:
    """A line for every network and stage."""
    rows = []
    for result in results:
        for stage, found in result["stages"].items():
            tau = constants([result], result["variant"], stage)[0]
            row = {"variant": result["variant"], "seed": result["seed"], "stage": stage}
            row |= {f"tau_{100 * share:.0f}": float(np.quantile(tau, share)) for share in SHARES}
            row["tau_longest"] = float(tau.max())
            row |= {f"units_above_{steps}": float(np.mean(tau > steps)) for steps in (10, LONG)}
            row |= {f"mean_{name.split('.')[-1]}": gate["mean"] for name, gate in found["gates"].items()}
            rows.append({**row, "saturated": found["saturation"][0], "valid_loss": found["valid_loss"]})
    return rows


def findings(results: dict[str, Any]) -> Findings:
    """What the gates say."""
    forced, networks, size = results["forced"], results["networks"], results["size"]
    before, after = (float(np.median(constants(networks, SHOWN, stage))) for stage in STAGES)
    exact = all(f["largest_change"] == 0 and f["log_singular_values"] == [0, 0] for f in forced.values())
    rows, kept = to_rows(networks), "to the last bit" if exact else "not to the last bit"
    title = f"Training moves the LSTM's median memory from {before:.1f} to {after:.1f} steps"
    trained = where(rows, variant=SHOWN, stage=STAGES[1])
    wide = float(np.mean([row["saturated"] for row in trained]))
    titles = (
        title,
        f"After training {wide:.0%} of the LSTM's gate values are below 0.1 or above 0.9",
        "A forget gate keeps a memory as long as its bias says",
    )
    of = {name: with_interval for name in ("tau_50", "tau_90")} | {"tau_longest": with_range}
    of |= {f"units_above_{LONG}": share_with_interval, "valid_loss": with_interval}
    drawn: list[Picture] = pictures(networks, results["share_left_by_forget_bias"], size, titles)
    return Findings(
        title=title,
        answer=f"Forced gates keep a state {kept} for {FORCED_STEPS:,} steps; training moves the median LSTM unit's "
        f"memory from {before:.1f} to {after:.1f} steps.",
        verdicts=verdicts(forced, networks),
        means=means(rows, ("variant", "stage"), of),
        rows=rows,
        columns=COLUMNS,
        pictures=drawn,
        seeds=range(size["seeds"]),
    )


def verdicts(forced, networks) -> list[Verdict]:
    """The parts of the expectation."""
    change = max(f["largest_change"] for f in forced.values())
    logs = [value for f in forced.values() for value in f["log_singular_values"]]
    before, after = ({name: constants(networks, name, stage) for name in VARIANTS} for stage in STAGES)
    off = max(abs(float(np.median(before[name])) / OF_BIAS[name] - 1) for name in VARIANTS)
    wider = [
        np.quantile(after[n], 0.9) / np.quantile(after[n], 0.1)
        > np.quantile(before[n], 0.9) / np.quantile(before[n], 0.1)
        for n in VARIANTS
    ]
    longest = {name: float(after[name].max()) for name in VARIANTS}
    bound, first = FAR * max(OF_BIAS.values()), max(longest, key=lambda name: longest[name])
    return [
        Verdict(
            f"forced cells are unchanged to the last bit after {FORCED_STEPS:,} steps",
            f"change {change:g}",
            change == 0,
        ),
        Verdict(
            "the derivative by the state is one in every direction",
            f"logarithms {min(logs):g} to {max(logs):g}",
            not any(logs),
        ),
        Verdict(
            f"before training the constants are those of the biases (medians within {NEAR:.0%})",
            f"within {off:.1%}",
            off < NEAR,
        ),
        Verdict(
            "training spreads them over units (90 % by 10 % quantile grows)",
            f"{sum(wider)} of {len(wider)} variants",
            all(wider),
        ),
        Verdict(
            f"a few far longer than any bias gives (over {FAR} times {max(OF_BIAS.values()):.1f} steps)",
            f"longest {max(longest.values()):.0f} steps",
            max(longest.values()) > bound,
        ),
        Verdict("the longest where the forget bias began at 3", f"longest: {first}", first == "LSTM, forget bias 3"),
    ]
