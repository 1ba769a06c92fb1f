"""Curves of the study of vanishing gradients, thinned for its record."""

from experiments.gradients.vanishing_gradients_lags import MEDIAN_LAGS, QUARTILE_LAGS, thinned


def profile(lags):
    curve = [lag + 0.12345 for lag in range(1, lags + 1)]
    return {
        "log_median": curve,
        "log_quartiles": [curve, curve],
        "counts": [2000] * lags,
        "horizon_1": 7,
        "x": 0.123456,
    }


def test_each_kept_value_is_that_of_its_lag():
    found = thinned({"networks": [{"seed": 0, "profiles": [profile(100)]}], "embedding_scales": [profile(200)]})
    (short,), long = found["networks"][0]["profiles"], found["embedding_scales"][0]
    kept = [lag for lag in MEDIAN_LAGS if lag <= 100]
    assert short["log_median"] == [round(lag + 0.12345, 3) for lag in kept] and len(long["log_median"]) == len(
        MEDIAN_LAGS
    )
    assert long["log_quartiles"][1] == [round(lag + 0.12345, 3) for lag in QUARTILE_LAGS]
    assert long["counts"] == [2000] * len(QUARTILE_LAGS) and (short["horizon_1"], short["x"]) == (7, 0.123456)
    assert set(range(1, 21)) <= set(MEDIAN_LAGS) and sorted(set(MEDIAN_LAGS)) == list(MEDIAN_LAGS)
