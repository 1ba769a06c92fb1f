"""The first step reports how it was compiled: by the compiler or from the cache on disk."""

import math

import jax
import jax.numpy as jnp
import pytest

from lm_jax.training.compile_time import reporting_compilation


@pytest.fixture
def cache(tmp_path):
    """A cache on disk that keeps every program."""
    from jax.experimental.compilation_cache import compilation_cache

    settings = {"jax_compilation_cache_dir": str(tmp_path), "jax_persistent_cache_min_compile_time_secs": 0.0}
    settings["jax_persistent_cache_min_entry_size_bytes"] = -1
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def steps_of(traces):
    """Steps that are compiled anew each time this is called."""

    @jax.jit
    def steps(state, epoch, count, length=None):
        traces.append(1)
        return jnp.sin(state) * count + epoch

    return steps


def test_the_second_time_it_is_read_from_the_cache(cache):
    reported, traces = [], []
    for _ in range(2):
        steps = reporting_compilation(steps_of(traces), reported.append)
        results = [steps(jnp.ones(7), jnp.ones(7), count) for count in (1, 2, 3)]
        assert [float(r[0]) for r in results] == pytest.approx([math.sin(1) * n + 1 for n in (1, 2, 3)])
    assert [compilation.from_cache for compilation in reported] == [False, True]
    assert all(compilation.seconds > 0 for compilation in reported)
    assert len(traces) == 2  # one for each program


def test_nothing_is_reported_of_what_had_been_compiled():
    reported, steps = [], steps_of([])
    steps(jnp.ones(7), jnp.ones(7), 1, length=None)
    reporting_compilation(steps, reported.append)(jnp.ones(7), jnp.ones(7), 1)
    assert not reported
