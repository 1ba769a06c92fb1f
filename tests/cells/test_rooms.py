"""A package offers its public names, also where a name is a module's or a folder's too."""

import subprocess
import sys

import pytest


PACKAGES = ("cells", "encoders", "models", "models.ngram", "models.recurrent", "models.caches", "inference")
PACKAGES += ("analysis", "interop")

PUBLIC_NAMES = f"""
import importlib, pkgutil, types

def check(package):
    for name in package.__all__:
        assert not isinstance(getattr(package, name), types.ModuleType), f"{{package.__name__}}.{{name}}"

packages = [importlib.import_module(f"lm_jax.{{name}}") for name in {PACKAGES}]
for load_all in (False, True):
    for package in packages:
        for module in pkgutil.iter_modules(getattr(package, "__path__", []) if load_all else []):
            importlib.import_module(f"{{package.__name__}}.{{module.name}}")
        check(package)
"""


def test_public_names_are_no_modules():
    """Neither at first, nor when every module has been imported before."""
    subprocess.run([sys.executable, "-c", PUBLIC_NAMES], check=True)


def test_a_cell_is_called_by_the_name_of_its_room():
    """Also where a module inside the room is the first that is imported."""
    code = "import lm_jax.cells.lstm.cudnn; import lm_jax.cells.lstm.cell; lm_jax.cells.lstm(3, 4)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_counting_needs_no_jax():
    """The namespace of n-grams loads it with `ngram_lm` only."""
    code = "import sys; from lm_jax.models import ngram; ngram.estimate; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code + "; ngram.ngram_lm; assert 'jax' in sys.modules"], check=True)


def test_names_that_are_not_there():
    """An attribute error, as of any module."""
    import lm_jax.models

    assert "mixture" in dir(lm_jax.models)
    with pytest.raises(AttributeError, match=r"'lm_jax.models' has no attribute 'nothing'"):
        _ = lm_jax.models.nothing
