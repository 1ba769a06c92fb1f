"""The study of memory: the gradient by the carries of all layers as one, and what its distances say."""

import math

import jax
import numpy as np
import pytest

from experiments.recurrences.architectures import NETWORKS, build
from experiments.recurrences.memory import cut, measure, whole_carry
from experiments.recurrences.memory_findings import STAGES, exponents, findings, reach
from lm_jax import analysis


def test_the_gradient_by_all_layers_is_the_root_of_the_sum_of_squares():
    model = build("gru", 4, 8)
    tokens = np.random.default_rng(0).integers(4, size=(9, 2), dtype=np.int32)
    flow = analysis.gradient_flow(model, model.init(jax.random.key(0)), tokens, max_lag=5)
    (found,) = whole_carry(flow).carry
    expected = np.sqrt(sum(np.exp(layer["all"]) ** 2 for layer in flow.carry))
    np.testing.assert_allclose(np.exp(found["all"]), expected, rtol=1e-12)
    assert len(flow.carry) == 2 and np.isnan(found["all"][0, 7, 0])  # beyond max_lag
    assert analysis.lag_profile(whole_carry(flow), leaf="all").log_median[0] == pytest.approx(0, abs=1e-12)


def test_distances_that_were_not_reached_are_beyond_the_largest():
    rows = [
        {"network": "rnn", "stage": STAGES[1], "horizon_1": 7, "exponent": -0.5},
        {"network": "rnn", "stage": STAGES[1], "horizon_1": 9, "exponent": -0.4},
        {"network": "lru", "stage": STAGES[1], "horizon_1": None, "exponent": None},
        {"network": "lru", "stage": STAGES[0], "horizon_1": 3, "exponent": -1},
    ]
    assert reach(rows, STAGES[1], "horizon_1", 130) == {"rnn": 7, "lru": 131}
    assert exponents(rows, STAGES[1]) == {"rnn": -0.5, "lru": -math.inf}
    assert exponents(rows, STAGES[1], max)["rnn"] == -0.4


def test_what_is_found_names_the_shortest_and_the_longest_reach():
    lags = ("horizon_10", "horizon_1", "half_life", "mass_lag", "functional", "functional_from_nothing")
    one = {"seed": 0, "step": 0, "parameters": 9, "state": 8, "bits": 2.0, "factor": 0.9, "cosine": 0.9, "cut_cost": []}
    measured = [
        one | dict.fromkeys(lags, lag) | {"network": name, "stage": stage, "exponent": exponent, "log_median": [0.0]}
        for name, lag, exponent in (("rnn", 9, -0.5), ("lru", None, -0.01), ("attention", 60, None))
        for stage in STAGES
    ]
    found = findings({"measured": measured, "max_lag": 130})
    assert found.answer == (
        "After training the gradient falls below 1 % within 9 characters in the RNN, and more than 130 characters in "
        "the LRU."
    )
    assert [part.holds for part in found.verdicts] == [True, None, None, True, None]  # RG-LRU and others are missing
    assert found.means[0]["horizon_1"] == "9" and found.means[-1]["exponent"] == "-inf"


def test_texts_are_from_all_over_the_tokens():
    found = cut(np.arange(100), 3, 10)
    assert found.shape == (11, 3) and found[0].tolist() == [0, 44, 89] and found[-1, -1] == 99


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_all_instruments_run_on_all_networks(network):
    model, tokens = build(network, 5, 8, context=4), np.random.default_rng(0).integers(5, size=600, dtype=np.int32)
    found = measure(model, model.init(jax.random.key(0)), tokens, 0, smoke=True)
    assert found["bits"] == pytest.approx(math.log2(5), abs=1) and found["log_median"][0] == 0
    assert (found["exponent"] is None) == (network == "attention")  # its cache of 3 steps is forgotten altogether
    assert 0 < found["cosine"] <= 1 and found["mass_lag"] >= 1
