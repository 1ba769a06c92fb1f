"""The licence is whole, lies where the build takes it from, and is named in the metadata and on the first page."""

import hashlib
import tomllib
from pathlib import Path


ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # of the text at apache.org, unaltered


def test_the_text_is_unaltered():
    assert hashlib.sha256((ROOT / "lm_jax" / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_the_build_carries_it():
    project, build = PROJECT["project"], PROJECT["build-system"]
    assert project["license"] == "Apache-2.0"  # an SPDX expression, as PEP 639 has it
    assert project["license-files"] == ["lm_jax/LICENSE"]
    (backend,) = build["requires"]
    name, _, floor = backend.partition(">=")
    assert name == "hatchling" and tuple(map(int, floor.split("."))) >= (1, 27)  # the first that reads license-files


def test_the_first_page_says_where():
    assert "[lm_jax/LICENSE](lm_jax/LICENSE)" in (ROOT / "README.md").read_text()
