"""`lm-jax doctor`: what this machine has for JAX, how fast it is, and what to do where a device is not seen."""

import dataclasses
import sys

from lm_jax.cli.parsing import parse
from lm_jax.config.settings import setting


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

    facts = doctor(arguments.speed, (lambda stage: None) if arguments.json else say)
    facts["compile_cache"] = str(compiled_folder())
    print(to_json(facts) if arguments.json else "\n".join(page(facts)))


def page(facts: dict) -> list[str]:
    """The facts as lines, the advice last."""
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in facts["versions"].items())
    devices, memory = facts["devices"], facts["memory"]
    found = f"{devices['kind']} x {devices['count']} ({devices['platform']})" if "error" not in devices else "none: "
    lines = [f"versions: {versions}", f"devices: {found}{devices.get('error', '')}"]
    for name, one, other, word in (
        ("host", "host_total", "host_available", "free"),
        ("device", "device_total", "device_used", "used"),
    ):
        if memory[one]:
            lines.append(f"{name} memory: {memory[one] / GIB:.1f} GiB, {(memory[other] or 0) / GIB:.1f} {word}")
    lines.append(f"compiled programs: {facts['compile_cache']}")
    for name, value in facts["speed"].items():
        what, unit = SPEEDS[name]
        lines.append(f"{what}: {'not measured' if value is None else f'{value:,.0f} {unit}'}")
    return [*lines, *(f"to do: {line}" for line in facts["advice"] or ["nothing, all is well"])]
