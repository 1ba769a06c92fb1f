"""The curves of vanishing_gradients.py, thinned for its record: every lag near by, fewer far away."""

from typing import Any


NOTE = (
    "Of each profile log_median holds the values at the first of the lags in median_lags, log_quartiles and counts "
    "those in quartile_lags, all to three decimals; every other number is as it was measured."
)
MEDIAN_LAGS = (*range(1, 21), *range(22, 61, 2), *range(65, 201, 5))
QUARTILE_LAGS = (1, 2, 5, 10, 20, 50, 100, 150, 200)


def thinned(results: dict[str, Any]) -> dict[str, Any]:
    """Returns the results with the curves at fewer lags, and with the lags and a note of them."""
    networks = [one | {"profiles": [_thin(profile) for profile in one["profiles"]]} for one in results["networks"]]
    scales = [_thin(profile) for profile in results["embedding_scales"]]
    about = {"note": NOTE, "median_lags": MEDIAN_LAGS, "quartile_lags": QUARTILE_LAGS}
    return {**results, **about, "networks": networks, "embedding_scales": scales}


def _thin(profile):
    quartiles = [_chosen(curve, QUARTILE_LAGS) for curve in profile["log_quartiles"]]
    medians, counts = _chosen(profile["log_median"], MEDIAN_LAGS), _chosen(profile["counts"], QUARTILE_LAGS)
    return profile | {"log_median": medians, "log_quartiles": quartiles, "counts": counts}


def _chosen(curve, lags):
    return [_rounded(curve[lag - 1]) for lag in lags if lag <= len(curve)]


def _rounded(value):
    return value if value is None or value == int(value) else round(float(value), 3)
