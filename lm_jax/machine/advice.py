"""Advice where JAX does not see the GPU or the TPU of a machine: one line for each sign of one. Imports no JAX."""

import glob
import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from typing import NamedTuple


PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "datasets", "numpy")
PLUGINS = ("libtpu", "jax-cuda12-plugin", "jax-cuda13-plugin", "jax-rocm7-plugin")
TPU_VARIABLES = ("COLAB_TPU_ADDR", "TPU_NAME", "TPU_ACCELERATOR_TYPE", "TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES")
CHOOSE_TPU = "on Colab choose Runtime > Change runtime type > v5e-1 TPU"


class Signs(NamedTuple):
    """Signs of an accelerator, whether JAX sees it or not.

    environment: the variables. nvidia, tpu: a path or a program that such a device has, None without.
    versions: of PACKAGES and PLUGINS, None where one is not installed. platform: JAX's own ("cpu", "gpu", "tpu"), None
    where it did not start. error: why it did not.
    """

    environment: Mapping[str, str] = {}
    nvidia: str | None = None
    tpu: str | None = None
    versions: Mapping[str, str | None] = {}
    platform: str | None = None
    error: str | None = None


def read_signs(platform: str | None, error: str | None) -> Signs:
    """Reads the signs of this machine and environment."""
    nvidia = _first(glob.glob("/dev/nvidia[0-9]*")) or shutil.which("nvidia-smi")
    tpu = _first(glob.glob("/dev/accel[0-9]*") + glob.glob("/dev/vfio/[0-9]*"))
    versions = {name: version_of(name) for name in (*PACKAGES, *PLUGINS)}
    return Signs(dict(os.environ), nvidia, tpu, versions, platform, error)


def advise(signs: Signs) -> list[str]:
    """Returns a line for each thing to mend: the sign, and the command that mends it. Empty where all is well."""
    missing = [name for name in PACKAGES if name in signs.versions and signs.versions[name] is None]
    if missing:
        return [f"not installed: {', '.join(missing)}; `pip install {' '.join(missing)}`"]
    if signs.platform not in ("cpu", None):
        return []  # an accelerator is in use
    lines = [_not_started(signs) if signs.error else None, _gpu(signs), _tpu(signs)]
    return [line for line in lines if line]


def _not_started(signs):
    chosen = signs.environment.get("JAX_PLATFORMS")
    if chosen:
        return f"JAX_PLATFORMS={chosen} asks for what does not start here; `unset JAX_PLATFORMS`"
    return "JAX did not start: restart the runtime, and close what else holds the device (one process at a time)"


def _gpu(signs):
    if signs.nvidia is None:
        return None
    seen = f"an NVIDIA GPU shows signs ({signs.nvidia}) but JAX does not use it"
    chosen = _hidden_by(signs, ("cuda", "gpu"))
    if chosen:
        return f"{seen}: JAX_PLATFORMS={chosen} hides it; `unset JAX_PLATFORMS`"
    if signs.environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return f"{seen}: CUDA_VISIBLE_DEVICES hides it; `unset CUDA_VISIBLE_DEVICES`"
    plugins = [name for name in PLUGINS if "cuda" in name and signs.versions.get(name)]
    if not plugins:
        return f"{seen}: this jaxlib is for CPUs only; {_install(signs, 'cuda12')}, then restart the runtime"
    odd = [name for name in plugins if signs.versions[name] != signs.versions.get("jaxlib")]
    if odd:
        versions = f"{odd[0]} {signs.versions[odd[0]]} does not fit jaxlib {signs.versions.get('jaxlib')}"
        return f"{seen}: {versions}; {_install(signs, odd[0].split('-')[1])}, then restart the runtime"
    return f"{seen}: see whether `nvidia-smi` lists it (the driver), then restart the runtime"


def _tpu(signs):
    sign = signs.tpu or next((name for name in TPU_VARIABLES if name in signs.environment), None)
    if sign is None:
        if signs.versions.get("libtpu") and signs.platform == "cpu" and not signs.environment.get("JAX_PLATFORMS"):
            return f"libtpu is installed but this machine has no TPU; {CHOOSE_TPU}"
        return None
    seen = f"a TPU shows signs ({sign}) but JAX does not use it"
    chosen = _hidden_by(signs, ("tpu",))
    if chosen:
        return f"{seen}: JAX_PLATFORMS={chosen} hides it; `unset JAX_PLATFORMS`"
    if signs.versions.get("libtpu") is None:
        return f"{seen}: libtpu is not installed; {_install(signs, 'tpu')}, then restart the runtime"
    if signs.tpu is None:
        return f"{seen}: there is no TPU device here; {CHOOSE_TPU}"
    return f"{seen}: another process may hold it (one at a time); restart the runtime"


def _hidden_by(signs, names):
    """Returns the value of JAX_PLATFORMS where it leaves a kind of device out."""
    chosen = signs.environment.get("JAX_PLATFORMS", "")
    return None if not chosen or set(chosen.split(",")) & set(names) else chosen


def _install(signs, extra):
    """Returns the command that adds the plugin and leaves the version of JAX as it is."""
    version = signs.versions.get("jax")
    return f'`pip install "jax[{extra}]{"==" + version if version else ""}"`'


def version_of(name: str) -> str | None:
    """Returns the version of an installed package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first(names):
    return min(names, default=None)
