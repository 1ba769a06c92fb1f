"""`lm-jax doctor`: what this machine has for JAX, how fast it is, and what to do where a device is not seen."""

import dataclasses
import sys
from typing import TYPE_CHECKING

from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting


if TYPE_CHECKING:
    from lm_jax.machine.diagnosis import Diagnosis

GIB = 2**30
SPEEDS = {
    "float32_gflops": ("float32 products", "GF/s"),
    "bfloat16_gflops": ("bfloat16 products", "GF/s"),
    "lstm_tokens_per_second": ("training the default LSTM", "tokens/s (100 types)"),
}


@dataclasses.dataclass(frozen=True)
class DoctorArguments:
    """Versions, devices, memory, a speed check of ten seconds, and what to do where a GPU or TPU is not seen."""

    speed: bool = setting(True, "Measure the speed.")
    json: bool = setting(False, "Print one JSON object.")


def main(argv: list[str]) -> None:
    """Parses, looks, prints."""
    arguments = parse(DoctorArguments, "doctor", argv)

    from lm_jax.machine.compile_cache import compiled_folder
    from lm_jax.machine.diagnosis import doctor
    from lm_jax.report.plain_json import to_json

    def say(stage):
        print(f"{stage} ...", file=sys.stderr, flush=True)

    diagnosis = doctor(arguments.speed, (lambda stage: None) if arguments.json else say)
    diagnosis = diagnosis._replace(compile_cache=str(compiled_folder()))
    print(to_json(diagnosis) if arguments.json else "\n".join(page(diagnosis)))


def page(diagnosis: "Diagnosis") -> list[str]:
    """Writes the state of a machine as lines, the advice last."""
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in diagnosis.versions.items())
    devices, memory = diagnosis.devices, diagnosis.memory
    found = f"{devices.kind} x {devices.count} ({devices.platform})" if devices.error is None else "none: "
    lines = [f"versions: {versions}", f"devices: {found}{devices.error or ''}"]
    if memory.host_total:
        lines.append(f"host memory: {memory.host_total / GIB:.1f} GiB, {(memory.host_available or 0) / GIB:.1f} free")
    if memory.device_total:
        lines.append(f"device memory: {memory.device_total / GIB:.1f} GiB, {(memory.device_used or 0) / GIB:.1f} used")
    lines.append(f"compiled programs: {diagnosis.compile_cache}")
    for name, value in diagnosis.speed.items():
        measured, unit = SPEEDS[name]
        lines.append(f"{measured}: {'not measured' if value is None else f'{value:,.0f} {unit}'}")
    return [*lines, *(f"to do: {line}" for line in diagnosis.advice or ["nothing, all is well"])]
