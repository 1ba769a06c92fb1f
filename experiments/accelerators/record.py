"""The record of one device: what it is, and a row for every case; on disk, whole, after each of them."""

import datetime
import importlib.metadata
import json
import platform
import re
from pathlib import Path
from typing import Any

import jax

from experiments.harness.machine import cores, processor
from lm_jax.errors import UserError
from lm_jax.files import write_text
from lm_jax.strict_json import to_json


PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "torch", "libtpu")
PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13")


SAME = ("device", "devices", "versions", "smoke")  # what a record that goes on was made with


class Record:
    """Rows in memory and in a file that is replaced after every one.

    It goes on with the rows of a record of the same device and versions. A new row takes the place of an older one of
    its case.

    Args:
        folder: where DEVICE.json goes, of a smoke test DEVICE-smoke.json.
        command: what was typed.
        smoke: whether the numbers mean nothing.

    Raises:
        UserError: where the file is no record, or one of other versions.
    """

    def __init__(self, folder: Path, command: str, smoke: bool):
        device = jax.devices()[0]
        self.folder, self.rows = folder, []
        self.head = {
            "device": device.device_kind,
            "platform": device.platform,
            "name": file_name(device.device_kind) + ("-smoke" if smoke else ""),
            "devices": jax.device_count(),
            "host": {"system": platform.system(), "processor": processor(), "cores": cores()},
            "versions": versions(),
            "commands": [command],
            "smoke": smoke,
            "date": datetime.date.today().isoformat(),
        }
        self.tail: dict[str, Any] = {}
        if self.path.exists():
            before = self._before()
            self.rows, self.tail = before["rows"], {"left_out": before.get("left_out", [])}
            self.head["commands"] = list(dict.fromkeys([*before.get("commands", []), command]))

    def _before(self):
        try:
            before = json.loads(self.path.read_bytes())
            others = [name for name in SAME if before[name] != self.head[name]]
            before["rows"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"a record must be one that this command wrote, got {self.path}; move it away") from error
        if others:
            same = " and ".join(others)
            raise UserError(f"a record goes on with the same {same}, got {self.path} with others; give another --out")
        return before

    @property
    def done(self) -> set[str]:
        """The names of the cases that need not be asked again: neither wrong nor failed."""
        good = {row["case"] for row in self.rows}
        return good - {row["case"] for row in self.rows if not row.get("right", True) or "failed" in row}

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.head['name']}.json"

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Takes the rows of one case and writes the file anew."""
        self.rows = [row for row in self.rows if row["case"] != rows[0]["case"]] + rows
        self.write()

    def write(self, **fields: Any) -> None:
        """Writes the file, with fields that are known at the end only; a row a line, so that records compare."""
        self.tail |= fields
        self.folder.mkdir(parents=True, exist_ok=True)
        fields = [f'"{name}": {to_json(value)}' for name, value in (self.head | self.tail).items()]
        rows = ",\n".join(to_json(row) for row in self.rows)
        write_text(self.path, "{\n" + ",\n".join([*fields, f'"rows": [\n{rows}\n]']) + "\n}\n")

    @property
    def content(self) -> dict[str, Any]:
        """All of it."""
        return self.head | self.tail | {"rows": self.rows}


def file_name(device: str) -> str:
    """Returns the name of a device as one of files: "NVIDIA H200" is nvidia-h200."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def versions() -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES + PLUGINS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
