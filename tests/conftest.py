"""What every test shares: one CPU device, no display, no network."""

import gc
import importlib.metadata
import os
import time


os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Compiling is most of what the tests' time goes to, and arrays are tiny: the compiler may be lazy, and one thread is
# enough beside pytest-xdist. `XLA_FLAGS= pytest` runs the tests at full optimisation.
_FLAGS = ["xla_backend_optimization_level=0", "xla_llvm_disable_expensive_passes=true"]
_FLAGS += ["xla_cpu_multi_thread_eigen=false"]
# XLA ends the process at a flag that it does not know, and this one is of its present versions only.
if importlib.metadata.version("jaxlib").startswith(("0.7.", "0.8.", "0.9.", "0.10.")):
    _FLAGS += ["xla_cpu_use_fusion_emitters=false"]
os.environ.setdefault("XLA_FLAGS", " ".join(f"--{flag}" for flag in _FLAGS))

import jax  # noqa: E402 (it reads the environment)
import pytest  # noqa: E402


pytest.register_assert_rewrite("tests.cases", "tests.laws")


@pytest.fixture(autouse=True, scope="session")
def compiled_in_memory(tmp_path_factory):
    """No command that a test gives keeps compiled programs for the next test, or in the home folder: where the
    environment names a folder, the command leaves JAX as it is, and JAX has read the environment before."""
    with pytest.MonkeyPatch.context() as patch:
        if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))
        yield


@pytest.fixture(params=["eager", "jit"])
def run(request):
    """How a law runs a function: `run(f)` is f evaluated operation by operation, loops included, or f compiled."""
    if request.param == "eager":
        with jax.disable_jit():
            yield lambda f: f
    else:
        yield jax.jit


# One of each kind runs the laws operation by operation with the fast tests; the others do so on their own, and
# compiled with the fast.
FAST_EAGER = ("rnn", "window", "rnn_tanh", "lstm", "gru_before", "lstm_fused", "stack_locked", "running_mean")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks the laws that take long for a cell or a model evaluated operation by operation."""
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if params.get("run") == "eager" and params.get("case", FAST_EAGER[0]) not in FAST_EAGER:
            item.add_marker(pytest.mark.eager)


TIME_IS_UP = "!! the time that TESTS_UNTIL gives is up !!"


def pytest_runtest_setup(item):
    """Leaves out what would begin after TESTS_UNTIL (seconds since 1970), so that a slow machine comes to its end."""
    if time.time() > float(os.environ.get("TESTS_UNTIL", "inf")):
        pytest.skip(TIME_IS_UP)


def pytest_terminal_summary(terminalreporter):
    """Says how many tests were left out for want of time."""
    skipped = terminalreporter.stats.get("skipped", [])
    late = sum(TIME_IS_UP in str(report.longrepr) for report in skipped)
    if late:
        terminalreporter.write_line(f"!! {late:,} TESTS WERE NOT RUN: THEIR TIME WAS UP !!")


def pytest_collection_finish():
    """Leaves what was imported out of garbage collection, and lets it come seldom: JAX makes very many objects, few of
    them in cycles, and a collection has to pass all of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture
def x64():
    """float64 for the length of one test."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def memory_maps() -> int:
    """How many this process has; 0 where that is not told."""
    try:
        with open("/proc/self/maps") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0


MANY_MAPS, TOO_MANY_MAPS = 18_000, 55_000


def begins_anew(item, nextitem) -> bool:
    """Whether a test reads nothing that was counted before it: it is of another module, or begins another case of the
    laws, which count in one test alone."""
    if nextitem is None or nextitem.path != item.path:
        return True
    cases = [test.callspec.params.get("case") if hasattr(test, "callspec") else None for test in (item, nextitem)]
    return cases[0] != cases[1]


def pytest_runtest_teardown(item, nextitem):
    """Lets go of compiled programs before they are too many: each holds some memory maps, of which Linux gives a
    process 65,530 by default, and the compiler does not survive the last; with a few thousand of them go a GB of
    memory. What was traced is then traced again, so this waits for a test that begins anew, if it can."""
    config = item.config
    config.tests_kept = getattr(config, "tests_kept", 0) + 1  # since the maps were last counted
    anew = begins_anew(item, nextitem)
    if config.tests_kept >= (50 if anew else 500):
        config.tests_kept = 0
        if memory_maps() > (MANY_MAPS if anew else TOO_MANY_MAPS):
            jax.clear_caches()
            gc.collect()  # programs of functions in cycles
