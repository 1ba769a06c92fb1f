"""What to install for an accelerator, given the Python and the JAX that are there. Imports no JAX."""

NEWEST_FOR = {"3.11": "0.10.2"}  # the last JAX that a Python gets; jax 0.11 asks for Python 3.12
DRIVERS = {"cuda13": 580, "cuda12": 525}  # NVIDIA's drivers, at least


def for_accelerators(python: str, jax: str | None) -> list[str]:
    """Returns a line each for an NVIDIA GPU, for a TPU, and for a Python whose JAX is an old one.

    Args:
        python: the version of Python, such as 3.12.1.
        jax: the version of JAX that stays; None where none is installed.
    """
    newest = NEWEST_FOR.get(".".join(python.split(".")[:2]))
    version = jax or newest
    pinned = f"=={version}" if version else ""
    (first, driver), (second, older) = DRIVERS.items()
    effect = f"keeps JAX {jax}" if jax else "brings JAX"
    lines = [
        f'an NVIDIA GPU needs `pip install "jax[{first}]{pinned}"` with driver {driver} or newer, '
        f"`jax[{second}]` with {older} or newer; that {effect}, for Python {python}",
        f'a TPU needs `pip install "jax[tpu]{pinned}"`',
    ]
    if newest:
        lines.append(f"Python {python} gets no JAX after {newest}: a newer one needs Python 3.12")
    return lines
