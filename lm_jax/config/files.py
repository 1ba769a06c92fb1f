"""Configurations as JSON: in a run's config.json, in checkpoints, and in files of settings.

A kind is an object with its name: {"kind": "lstm", "forget_bias": 1.0}. The flat form of version 0.1, in which a model
had the settings of all kinds side by side, is read too.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from lm_jax.config.flat import flat_settings, from_flat
from lm_jax.config.settings import is_settings
from lm_jax.config.train import TrainConfig
from lm_jax.errors import UserError, one_of
from lm_jax.sealed_json import SEAL, take_seal
from lm_jax.strict_json import read_json


Config = TypeVar("Config")
WITHDRAWN = {"vocab_shards": 1}  # recorded by tasks that could never have another value
FAMILIES = {"neural": "recurrent", "ngram": "ngram"}  # of version 0.1, and tasks with the same settings


def to_dict(config: Any) -> dict[str, Any]:
    """Returns a configuration as nested dicts of JSON types."""
    values = {"kind": config.kind} if hasattr(config, "kind") else {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if is_settings(value):
            values[field.name] = to_dict(value)
        elif "help" in field.metadata:
            values[field.name] = list(value) if isinstance(value, tuple) else value
    return values


def from_dict(cls: type[Config], values: Any) -> Config:
    """Makes a configuration from what `to_dict` returned; flat names and the form of version 0.1 are read too.

    Raises UserError for a name that this version does not know.
    """
    if not isinstance(values, dict):
        raise UserError(f"settings must be a JSON object of names and values, got {values!r}")
    if _is_of_0_1(values):
        return from_0_1(cls, values)
    names: Any = cls
    parts = {field.name: dataclasses.is_dataclass(field.type) for field in dataclasses.fields(names)}
    if any(parts.get(name, True) for name in values) and not any(isinstance(value, dict) for value in values.values()):
        return from_flat(cls, values)  # settings by their flat names
    return _build(cls, values)


def _build(cls, values):
    fields = {field.name: field for field in dataclasses.fields(cls)}
    values = {name: value for name, value in values.items() if name in fields or WITHDRAWN.get(name) != value}
    unknown = sorted(set(values) - set(fields) - {"kind"})
    if unknown:
        raise UserError(f"the configuration has settings that this version does not know: {', '.join(unknown)}")
    return cls(**{name: _value(fields[name], value) for name, value in values.items() if name != "kind"})


def _value(field, value):
    table = field.metadata.get("kinds")
    if table is not None and isinstance(value, dict):
        name = value.get("kind")
        if not isinstance(name, str):
            raise UserError(f"{field.name} must have a kind, which is a text, got {name!r:.60}", [field.name])
        kind = table.get(name)
        return name if kind is None or kind.config is None else _build(kind.config, value)
    if dataclasses.is_dataclass(field.type):
        if not isinstance(value, dict):
            raise UserError(f"{field.name} must be a JSON object of settings, got {value!r:.60}", [field.name])
        return _build(field.type, value)
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuples


def _is_of_0_1(values):
    """There a part held the choice of a kind as a plain string, or there were no parts but counts of a text."""
    parts = [value for value in values.values() if isinstance(value, dict)]
    names = ("model", "cell", "schedule", "averaging")
    nested = any(isinstance(part.get(name), str) for part in parts for name in names)
    return nested or isinstance(values.get("method"), str)


def from_0_1(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """Makes a configuration from the form of version 0.1, where a model had the settings of all kinds.

    Those of kinds that are not chosen were read by nothing, and are left out.
    """
    flat = {}
    for name, value in values.items():
        flat |= value if isinstance(value, dict) else {name: value}
    chosen = dict(flat)
    idle = ("dropout_kind", "dropout_layer", "cutoff_factor")  # which version 0.1 accepted where nothing read them
    while True:
        try:
            return from_flat(cls, chosen)
        except UserError as error:
            if error.settings and error.settings[0] in idle and error.settings[0] in chosen:
                del chosen[error.settings[0]]
                continue
            misplaced = _first_misplaced(cls, chosen)
            if misplaced is None:
                raise
            del chosen[misplaced]


def _kind_of(settings: Any) -> str:
    return settings.kind


def _first_misplaced(cls, flat):
    """Returns a setting whose owners are not those that are chosen."""
    entries = flat_settings(cls)
    defaults = {entry.name: _kind_of(entry.field.default) for entry in entries if entry.field.metadata.get("kinds")}
    for name in flat:
        paths = [entry.owners for entry in entries if entry.name == name]
        if paths and not any(all(flat.get(role, defaults[role]) == kind for role, kind in path) for path in paths):
            return name
    return None


def read_record(path: Path, configs: Mapping[str, type]) -> tuple[Any, dict[str, Any]]:
    """Reads a config.json: the configuration, and what else is recorded beside it.

    Args:
        path: the file.
        configs: the dataclass of the settings of each task.

    Raises:
        UserError: for an unknown task or setting, and for a file that was changed since it was written.
    """
    record = read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("task", record.get("family")), str):
        raise ValueError("it is no object with the name of its task")
    whole = take_seal(record)
    if "family" in record:
        task = one_of("family", record.pop("family"), FAMILIES)
    else:
        task = record.pop("task")
    config = from_dict(one_of("task", task, configs), record.pop("config"))
    if not whole:
        raise UserError(
            f"a run's settings must be as they were written, got {path}, whose checksum is not theirs; "
            f'without its line "{SEAL}" the file is read as it is'
        )
    record.pop("format", None)
    return config, record


def read_settings(path: Path, cls: Any = TrainConfig) -> Any:
    """Reads a configuration from JSON: a run's config.json, or only the settings that differ from the defaults.

    Raises UserError for a file that cannot be read or a name that is no setting.
    """
    try:
        record = read_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"a file of settings must be readable JSON, got {path}: {reason}") from error
    if not isinstance(record, dict):
        raise UserError(f"a file of settings must hold one JSON object, got {path}")
    return from_dict(cls, record.get("config", record))
