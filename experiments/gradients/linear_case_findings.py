"""What the networks of linear_case.py say."""

from typing import Any

import numpy as np

from experiments.gradients.linear_case_figures import (
    GAMMA,
    KINDS,
    NON_NORMAL,
    Network,
    bound,
    by_eigenvalues,
    non_normal,
)
from experiments.harness import Findings, Verdict
from experiments.harness.rows import only, without


CURVES = ("log_median", "log_lower", "log_upper", "log_largest", "log_norm_of_power")
EXACT, SAME, CLOSE, GROWS = 1e-10, 1e-6, 0.01, 1.5  # relative differences; times the gradient at lag 0
COLUMNS = {
    "kind": "of the recurrent matrix W",
    "nonlinearity": "f of the recurrence",
    "inputs": "size of the inputs",
    "spectral_radius": "largest |eigenvalue| of W, mean of the draws",
    "largest_singular_value": "of W, mean of the draws",
    "gamma_sigma": "largest derivative of f times the largest singular value",
    "deviation": "largest relative difference of measured gradients from the closed form",
    "late_factor": "factor of the median gradient a step back, over the later half of the lags",
    "peak": "largest median gradient, relative to lag 0",
    "peak_lag": "lag of that (steps back)",
    "largest_over_bound": "largest gradient by the bound (gamma sigma)^lag",
    "values": "predictions at each lag",
}


def by_network(networks: list[dict[str, Any]]) -> dict[Network, dict[str, Any]]:
    """The networks by what they are; the scale is the largest eigenvalue times the steepest slope."""
    found = {}
    for one in networks:
        curves = {name: np.asarray(one[name], float) for name in CURVES}
        scale = round(GAMMA[one["nonlinearity"]] * one["spectral_radius"], 6)
        found[Network(one["kind"], one["nonlinearity"], scale, one["inputs"])] = one | curves
    return found


def findings(results: dict[str, Any]) -> Findings:
    """What the networks say."""
    found = by_network(results["networks"])
    deviation = max(one["deviation"] for one in found.values() if one["deviation"] is not None)
    grown = next(one for network, one in found.items() if network.kind == NON_NORMAL)
    over = max(one["largest_over_bound"] for one in found.values() if one["nonlinearity"] != "identity")
    radius, peak = grown["spectral_radius"], grown["peak"]
    title = f"Eigenvalues decide how gradients end; with all at {radius:.1f} they may first grow {peak:.0f}-fold"
    rows = [without(row, *CURVES) for row in results["networks"]]
    return Findings(
        title=title,
        answer=f"Measured and closed form agree to {deviation:.0e}; with all eigenvalues at {radius:.1f} a non-normal "
        f"matrix lets gradients grow {peak:.0f}-fold before they vanish.",
        verdicts=verdicts(found, deviation),
        means=[only(row, [name for name in COLUMNS if name not in ("spectral_radius", "values")]) for row in rows],
        rows=rows,
        columns=COLUMNS,
        pictures=[
            by_eigenvalues(found, "In the end gradients shrink or grow by the largest |eigenvalue| a step"),
            non_normal(found, f"All eigenvalues are {radius:.1f}, and yet gradients first grow {peak:.0f}-fold"),
            bound(found, f"The largest gradient is {over:.3f} of the bound by the largest singular value"),
        ],
        seeds=range(results["setting"]["seeds"]),
    )


def verdicts(found, deviation: float) -> list[Verdict]:
    """The parts of the expectation."""
    linear = [one for one in found.values() if one["nonlinearity"] == "identity" and one["kind"] in KINDS]
    off = {
        kind: max(abs(one["late_factor"] / one["spectral_radius"] - 1) for one in linear if one["kind"] == kind)
        for kind in KINDS
    }
    rotation, *others = off.values()
    peak = next(one["peak"] for network, one in found.items() if network.kind == NON_NORMAL)
    over = max(one["largest_over_bound"] for one in found.values())
    above = [one for one in found.values() if one["nonlinearity"] != "identity" and one["gamma_sigma"] > 1.05]
    lost = [one for one in above if one["inputs"] == 1.0]
    return [
        Verdict(f"measured and closed form agree to {EXACT:.0e}", f"{deviation:.0e}", deviation < EXACT),
        Verdict(
            "the norm is lambda^l exactly for the rotation", f"factor of a step off by {rotation:.0e}", rotation < SAME
        ),
        Verdict(
            f"and falls or grows by lambda a step in the end for the others (within {CLOSE:.0%})",
            f"off by {max(others):.2%} at most",
            max(others) < CLOSE,
        ),
        Verdict("the non-normal gradient first grows", f"{peak:.1f}-fold", peak > GROWS),
        Verdict("no gradient is above the bound", f"{over:.7f} of it at most", over <= 1 + SAME),
        Verdict(
            "a nonlinear network with gamma sigma above 1 may still lose its gradient",
            f"{sum(one['late_factor'] < 1 for one in lost)} of {len(lost)} with inputs of size 1 do",
            any(one["late_factor"] < 1 for one in lost),
        ),
    ]
