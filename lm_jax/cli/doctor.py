"""`lm-jax doctor`: what this machine has for JAX, how fast it is, and what to do where a device is not seen."""

import dataclasses
import sys
from typing import TYPE_CHECKING

from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting


if TYPE_CHECKING:
    from lm_jax.machine.diagnosis import DoctorReport


GIB = 2**30
SPEEDS = {
    "float32_gflops": ("float32 products", "GF/s (at JAX's default precision)"),
    "bfloat16_gflops": ("bfloat16 products", "GF/s"),
    "lstm_tokens_per_second": ("training the default LSTM", "tokens/s (100 entries)"),
}


@dataclasses.dataclass(frozen=True)
class DoctorArguments:
    """Versions, devices, memory, a short check of the speed, and what to do where a GPU or TPU is not seen."""

    speed: bool = setting(True, "Whether the speed is measured.")
    json: bool = setting(False, "Whether the output is one JSON object.")


def main(argv: list[str]) -> None:
    """Parses the arguments, examines the machine and prints the report."""
    arguments = parse(DoctorArguments, "doctor", argv)

    from lm_jax.machine.compile_cache import compiled_folder
    from lm_jax.machine.diagnosis import doctor
    from lm_jax.strict_json import to_json

    def say(stage):
        print(f"{stage} ...", file=sys.stderr, flush=True)

    report = doctor(arguments.speed, (lambda stage: None) if arguments.json else say)
    folder = compiled_folder()
    report = report._replace(compile_cache=None if folder is None else str(folder))
    print(to_json(report) if arguments.json else "\n".join(page(report)))


def page(report: "DoctorReport") -> list[str]:
    """Returns a report as lines, the advice last."""
    memory = report.memory
    versions = [f"{name} {version or 'missing'}" for name, version in report.versions.items()]
    lines = [
        f"versions: {', '.join(versions)}",
        f"devices: {_devices(report.devices)}",
        *_memory("host", memory.host_total, memory.host_available, "free"),
        *_memory("device", memory.device_total, memory.device_used, "used"),
        f"compiled programs: {report.compile_cache or 'not kept, there is no home folder'}",
    ]
    for name, value in report.speed.items():
        label, unit = SPEEDS[name]
        lines.append(f"{label}: {'not measured' if value is None else f'{value:,.0f} {unit}'}")
    lines += [f"for an accelerator: {line}" for line in report.install]
    return [*lines, *(f"to do: {line}" for line in report.advice or ["nothing, all is well"])]


def _devices(devices):
    from lm_jax.machine.diagnosis import StartFailure

    if isinstance(devices, StartFailure):
        return f"none: {devices.error}"
    return f"{devices.kind} x {devices.count} ({devices.platform})"


def _memory(name, total, part, word):
    return [f"{name} memory: {total / GIB:.1f} GiB, {(part or 0) / GIB:.1f} {word}"] if total else []
