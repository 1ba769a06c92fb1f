"""The attempts at faster layers on a CPU compute what the plain scan does, and what is said of their times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.cpu_attempts import ATTEMPTS, Attempt, compiled, largest_difference, library, stack_of
from experiments.benchmarks.cpu_attempts_findings import BOUND, findings, least_gains, to_rows
from experiments.benchmarks.peers.work import Layers


WORK = Layers("lstm", 2, 5, 3, 14)
FORMS = ("wavefront", "blocks of steps", "unroll 4", "adjoints [H, B]")


@pytest.fixture(scope="module")
def arguments():
    """Parameters with a bias, inputs and weights of the outputs."""
    params = stack_of(WORK).init(jax.random.key(0))
    drawn = np.random.default_rng(0)
    params = jax.tree.map(lambda a: a + 0.1 * jnp.asarray(drawn.normal(size=a.shape), jnp.float32), params)
    return params, *jnp.asarray(drawn.normal(size=(2, 14, 3, 5)), jnp.float32)


@pytest.fixture(scope="module")
def expected(arguments):
    return compiled(WORK, ATTEMPTS["plain scan"], *arguments)()


@pytest.mark.parametrize("name", FORMS)
def test_another_order_has_the_gradients_of_the_scan(name, arguments, expected):
    assert largest_difference(compiled(WORK, ATTEMPTS[name], *arguments)(), expected) < 2e-6


def test_differences_are_seen(arguments, expected):
    params, xs, weights = arguments
    other = compiled(WORK, ATTEMPTS["plain scan"], params, xs, weights.at[0, 0, 0].add(0.1))()
    assert largest_difference(other, expected) > 1e-3


def test_what_the_compiler_does_not_know_is_no_attempt(arguments, capsys):
    assert compiled(WORK, Attempt(library, {"xla_cpu_no_such_option": True}), *arguments) is None
    assert "xla_cpu_no_such_option" in capsys.readouterr().out


def recorded(**slower):
    """Times of two sizes: 10 ms each, but for those named."""
    names = ["lm_jax", *FORMS, "torch", "torch compiled"]
    return {
        "rounds": 1,
        "results": {
            work: {
                "ms": {name: slower.get(name, {}).get(work, 10.0) for name in names},
                "difference": dict.fromkeys(names[:-2], 0.0),
                "products_ms": {"XLA": 8.0, "XLA without YNN": 7.0, "OpenBLAS": 6.0},
            }
            for work in ("small", "large")
        },
    }


def test_an_attempt_counts_by_the_size_where_it_gains_least():
    results = recorded(wavefront={"small": 5.0, "large": 20.0}, **{"unroll 4": {"small": 8.0, "large": 9.0}})
    gains = least_gains(to_rows(results))
    assert gains["wavefront"] == 0.5 and gains["unroll 4"] == pytest.approx(10 / 9) and gains["blocks of steps"] == 1
    assert gains[BOUND] == 1.25  # 10 ms with products of 6 in place of 8
    found = findings(results)
    assert found.title == "Worth it at every size: unroll 4"
    assert [verdict.holds for verdict in found.verdicts] == [True, False, True]


def test_below_nine_tenths_of_torch_the_aim_is_missed():
    results = recorded(**{"torch compiled": {"large": 8.0}})
    aim = findings(results).verdicts[0]
    assert (aim.found, aim.holds) == ("0.80 to 1.00", False)
    for row in results["results"].values():
        for peer in ("torch", "torch compiled"):
            del row["ms"][peer]
    assert findings(results).verdicts[0].holds is None
