"""The advice for every kind of machine, from its signs; the report on this one."""

import itertools
import sys
import types

import pytest

from lm_jax.cli.doctor import page
from lm_jax.machine import speed
from lm_jax.machine.advice import PACKAGES, Signs, advise, read_signs
from lm_jax.machine.diagnosis import Devices, StartFailure, doctor
from lm_jax.machine.installation import for_accelerators


PLAIN = dict.fromkeys(PACKAGES, "1.0") | {"jax": "0.10.2", "jaxlib": "0.10.2"}
CUDA = {**PLAIN, "jax-cuda12-plugin": "0.10.2"}
TPU = {**PLAIN, "libtpu": "0.0.21"}
FAILED = "RuntimeError: Unable to initialize backend"
HEALTHY = {
    "a laptop": Signs({}, None, None, PLAIN, "cpu"),
    "a laptop that says so": Signs({"JAX_PLATFORMS": "cpu"}, None, None, PLAIN, "cpu"),
    "a GPU": Signs({}, "/dev/nvidia0", None, CUDA, "gpu"),
    "a GPU, asked for": Signs({"JAX_PLATFORMS": "cuda,cpu"}, "/dev/nvidia0", None, CUDA, "gpu"),
    "a TPU": Signs({"TPU_NAME": "local"}, None, "/dev/vfio/0", TPU, "tpu"),
    "a CPU, asked for, with libtpu": Signs({"JAX_PLATFORMS": "cpu"}, None, None, TPU, "cpu"),
}
# what is wrong: (signs, what the one line must say)
ILL = {
    "a GPU, jaxlib for CPUs": (
        Signs({}, "/dev/nvidia0", None, PLAIN, "cpu"),
        ["/dev/nvidia0", '`pip install "jax[cuda12]==0.10.2"`', "restart the runtime"],
    ),
    "a GPU, hidden": (
        Signs({"JAX_PLATFORMS": "cpu"}, "nvidia-smi", None, CUDA, "cpu"),
        ["GPU", "JAX_PLATFORMS=cpu hides it", "`unset JAX_PLATFORMS`"],
    ),
    "a GPU, hidden from CUDA": (
        Signs({"CUDA_VISIBLE_DEVICES": ""}, "/dev/nvidia0", None, CUDA, "cpu"),
        ["`unset CUDA_VISIBLE_DEVICES`"],
    ),
    "a GPU, another jaxlib": (
        Signs({}, "/dev/nvidia0", None, {**PLAIN, "jax-cuda13-plugin": "0.9.0"}, "cpu"),
        ["jax-cuda13-plugin 0.9.0 does not fit jaxlib 0.10.2", '`pip install "jax[cuda13]==0.10.2"`'],
    ),
    "a GPU without its driver": (Signs({}, "/dev/nvidia0", None, CUDA, "cpu"), ["`nvidia-smi`", "the driver"]),
    "a TPU without libtpu": (
        Signs({}, None, "/dev/accel0", PLAIN, "cpu"),
        ["/dev/accel0", '`pip install "jax[tpu]==0.10.2"`', "restart the runtime"],
    ),
    "a TPU, hidden": (
        Signs({"JAX_PLATFORMS": "cpu"}, None, "/dev/vfio/0", TPU, "cpu"),
        ["TPU", "JAX_PLATFORMS=cpu hides it", "`unset JAX_PLATFORMS`"],
    ),
    "a TPU that is held": (
        Signs({}, None, "/dev/vfio/0", TPU, "cpu"),
        ["another process may hold it", "restart the runtime"],
    ),
    "an old TPU runtime": (
        Signs({"COLAB_TPU_ADDR": "10.0.0.2:8470"}, None, None, TPU, "cpu"),
        ["COLAB_TPU_ADDR", "Change runtime type"],
    ),
    "libtpu alone": (Signs({}, None, None, TPU, "cpu"), ["this machine has no TPU", "Change runtime type"]),
    "a platform that is not there": (
        Signs({"JAX_PLATFORMS": "cuda"}, None, None, PLAIN, None, FAILED),
        ["JAX_PLATFORMS=cuda asks for what does not start", "`unset JAX_PLATFORMS`"],
    ),
    "nothing starts": (Signs({}, None, None, PLAIN, None, FAILED), ["did not start", "restart the runtime"]),
    "no JAX": (
        Signs({}, "/dev/nvidia0", None, {**PLAIN, "jax": None, "jaxlib": None}, None, "ModuleNotFoundError: jax"),
        ["not installed: jax, jaxlib", "`pip install jax jaxlib`"],
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_the_healthy_get_no_advice(name):
    assert advise(HEALTHY[name]) == []


@pytest.mark.parametrize("name", ILL)
def test_each_ill_gets_one_line_with_the_command_that_mends_it(name):
    signs, parts = ILL[name]
    (line,) = advise(signs)
    assert "\n" not in line and all(part in line for part in parts), line


def test_any_signs_get_lines():
    environments = ({}, {"JAX_PLATFORMS": "cpu"}, {"JAX_PLATFORMS": "tpu"}, {"TPU_NAME": "x"})
    found = ((None, None), ("/dev/nvidia0", None), (None, "/dev/accel0"), ("/dev/nvidia0", "/dev/vfio/0"))
    states = (("cpu", None), ("gpu", None), ("tpu", None), (None, FAILED))
    for environment, (nvidia, tpu), versions, state in itertools.product(environments, found, (PLAIN, TPU), states):
        lines = advise(Signs(environment, nvidia, tpu, versions, *state))
        assert len(lines) == len(set(lines)) <= 3 and all(lines)
        assert bool(lines) or state[0] in ("gpu", "tpu") or not (nvidia or tpu)
        assert not (lines and state[0] in ("gpu", "tpu"))


def test_signs_are_read_from_devices_and_packages(monkeypatch):
    paths = {"/dev/nvidia[0-9]*": ["/dev/nvidia1", "/dev/nvidia0"], "/dev/vfio/[0-9]*": ["/dev/vfio/0"]}
    monkeypatch.setattr("glob.glob", lambda pattern: paths.get(pattern, []))
    signs = read_signs("cpu", None)
    assert (signs.nvidia, signs.tpu, signs.platform) == ("/dev/nvidia0", "/dev/vfio/0", "cpu")
    assert set(PACKAGES) <= set(signs.versions) and signs.versions["numpy"]


def test_the_report_on_this_machine(monkeypatch):
    monkeypatch.setattr(speed, "rate", lambda function, state, seconds: 10.0)
    stages = []
    report = doctor(on_stage=stages.append)
    assert report.devices == Devices(platform="cpu", kind="cpu", count=1)
    assert report.versions["jax"] and report.versions["python"].startswith("3.")
    assert report.speed["float32_gflops"] == pytest.approx(10 * 8 * 2 * 1024**3 / 1e9)
    assert report.speed["lstm_tokens_per_second"] == 10 * 32 * 64 and len(report.speed) == 2
    assert stages == ["starting JAX", "measuring float32_gflops", "measuring lstm_tokens_per_second"]
    if sys.platform == "linux":
        assert 2**27 < report.memory.host_available <= report.memory.host_total
    assert doctor(speed=False).speed == {}


class Plugin:
    """What JAX's plugin for CUDA says of the libraries."""

    def __init__(self, cuda, cudnn):
        self.numbers = {"cuda_runtime_get_version": cuda, "cudnn_get_version": cudnn}

    def __getattr__(self, name):
        return lambda: self.numbers[name]


# cuDNN's number: its version; the line that warns of it
CUDNN = {8700: ("8.7.0", True), 8800: ("8.8.0", False), 8906: ("8.9.6", False), 90100: ("9.1.0", False)}


@pytest.mark.parametrize("number", CUDNN)
def test_on_a_gpu_cuda_and_cudnn_are_named(number, monkeypatch):
    version, old = CUDNN[number]
    plugin = types.ModuleType("jax_cuda12_plugin")
    monkeypatch.setitem(sys.modules, "jax_cuda12_plugin", plugin)
    monkeypatch.setitem(sys.modules, "jax_cuda12_plugin._versions", Plugin(12080, number))
    device = types.SimpleNamespace(platform="gpu", device_kind="NVIDIA T4", memory_stats=lambda: None)
    monkeypatch.setattr("jax.devices", lambda: [device])
    report = doctor(speed=False)
    assert (report.versions["CUDA"], report.versions["cuDNN"]) == ("12.8", version)
    assert f"CUDA 12.8, cuDNN {version}" in page(report)[0] and report.install == []
    warnings = [line for line in report.advice if "cuDNN" in line]
    assert len(warnings) == old and all(version in line and "before 8.8" in line for line in warnings)


def test_where_no_plugin_tells_there_are_no_such_versions(monkeypatch):
    monkeypatch.setattr("lm_jax.machine.cudnn.PLUGINS", ("no_such_plugin",))
    device = types.SimpleNamespace(platform="gpu", device_kind="AMD Instinct", memory_stats=lambda: None)
    monkeypatch.setattr("jax.devices", lambda: [device])
    report = doctor(speed=False)
    assert "CUDA" not in report.versions and not any("cuDNN" in line for line in report.advice)


@pytest.mark.parametrize(
    ("python", "jax", "parts"),
    [
        ("3.11.7", "0.10.2", ['"jax[cuda13]==0.10.2"', "keeps JAX 0.10.2, for Python 3.11.7", "no JAX after 0.10.2"]),
        ("3.13.0", "0.12.0", ['"jax[cuda13]==0.12.0"', '"jax[tpu]==0.12.0"', "driver 580"]),
        ("3.12.1", None, ['"jax[cuda13]"', "brings JAX, for Python 3.12.1"]),
        ("3.11.7", None, ['"jax[cuda13]==0.10.2"']),
    ],
)
def test_what_to_install_is_for_this_python_and_jax(python, jax, parts):
    lines = for_accelerators(python, jax)
    assert all(part in "\n".join(lines) for part in parts) and len(lines) == 2 + python.startswith("3.11")


def test_without_an_accelerator_it_says_what_to_install():
    report = doctor(speed=False)
    assert report.install == for_accelerators(report.versions["python"], report.versions["jax"])
    assert f"for an accelerator: {report.install[0]}" in page(report)


def test_an_accelerator_is_measured_in_both_types():
    assert [name for name, _ in speed.speeds(True)] == ["float32_gflops", "bfloat16_gflops", "lstm_tokens_per_second"]


def test_what_would_begin_too_late_is_not_measured(monkeypatch):
    monkeypatch.setattr("lm_jax.machine.diagnosis.LATEST_START", -1.0)
    report = doctor()
    assert set(report.speed.values()) == {None}
    assert sum("not measured" in line for line in page(report)) == 2


def test_a_device_that_does_not_compute_is_a_line(monkeypatch):
    def fail(function, state, seconds):
        raise RuntimeError("INTERNAL: no kernel image\nand much more")

    monkeypatch.setattr(speed, "rate", fail)
    report = doctor()
    assert set(report.speed.values()) == {None} and len(report.advice) == 2
    assert report.advice[0].startswith("float32_gflops could not be measured (RuntimeError: INTERNAL: no kernel image)")


def test_rates_are_of_calls_in_any_time():
    """Rounds of 1, 2, 4, ... calls, each told apart by what it is given."""
    calls = []
    found = speed.rate(lambda x: calls.append(x) or x + 1, 0, 0.0)
    assert calls == [0, 1] and found > 0  # one to compile, one timed


def test_a_jax_that_does_not_start_is_a_line(monkeypatch):
    def fail():
        raise RuntimeError("Unable to initialize backend 'tpu': UNAVAILABLE\nand much more")

    monkeypatch.setattr("jax.devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    report = doctor()
    assert report.devices == StartFailure("RuntimeError: Unable to initialize backend 'tpu': UNAVAILABLE")
    assert report.speed == {} and len(report.advice) == 1
    lines = page(report)
    assert "devices: none: RuntimeError" in "\n".join(lines) and lines[-1].startswith("to do: JAX_PLATFORMS=tpu asks")
