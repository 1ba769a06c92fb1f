"""Settings in flat form: one name a setting, whatever dataclass it lies in. Flags and files of settings are flat.

Only settings of the chosen kinds have a place; one of another kind is refused by its name.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from lm_jax.config.kinds import NoSettings
from lm_jax.config.settings import DependentSettings, flat_name, is_settings, leaves
from lm_jax.errors import UserError, did_you_mean, nearest


Config = TypeVar("Config")
ALIASES = {"lr": "learning_rate"}  # short names of settings, as flags and as keywords


class FlatSetting(NamedTuple):
    """A setting of a configuration or of any kind inside it.

    owners: the choices that it needs, from the outside in, such as (("model", "recurrent"), ("cell", "lstm")).
    section: the name of the dataclass inside the configuration that it lies in; "" for the configuration itself.
    """

    name: str
    field: dataclasses.Field
    owners: tuple[tuple[str, str], ...]
    section: str = ""


def flat_settings(cls: Any, owners: tuple[tuple[str, str], ...] = (), section: str = "") -> tuple[FlatSetting, ...]:
    """Returns every setting of a dataclass, of those inside it, and of all kinds that it could have."""
    found: list[FlatSetting] = []
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.type):
            found += flat_settings(field.type, owners, field.name)
        elif "help" in field.metadata:
            name = flat_name(field)
            found.append(FlatSetting(name, field, owners, section))
            for kind, entry in field.metadata.get("kinds", {}).items():
                if entry.config is not None:
                    found += flat_settings(entry.config, (*owners, (name, kind)), section)
    return tuple(found)


def from_flat(cls: type[Config], given: Mapping[str, Any], base: Config | None = None) -> Config:
    """Makes a configuration from settings by their flat names.

    Args:
        cls: the dataclass of the configuration.
        given: values by flat name; the name of a kind chooses it.
        base: the configuration that the given settings change; default: the defaults.

    Raises:
        UserError: for a name that is no setting, for a setting of another kind than those that are chosen, and for one
            that nothing reads beside the others, even if its value is the default: it was given, and would do nothing.
    """
    rest = dict(given)
    config = _apply(cls() if base is None else base, rest)
    for part in (getattr(config, "data", None), getattr(config, "model", None)):
        if not isinstance(part, DependentSettings):
            continue
        for name in part.idle():
            if name in given:
                raise part.idle_error(name)
    if rest:
        name = next(iter(rest))
        raise UserError(_misplaced(cls, config, name), _names_in(cls, name))
    return config


def _apply(config, rest):
    changes = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("kinds"):
            changes[field.name] = _apply_kind(field, value, rest)
        elif is_settings(value):
            if is_settings(rest.get(field.name)):  # all of a part at once, as a script may give it
                value = rest.pop(field.name)
            changes[field.name] = _apply(value, rest)
        elif "help" in field.metadata and flat_name(field) in rest:
            new = rest.pop(flat_name(field))
            changes[field.name] = tuple(new) if isinstance(new, list) else new
    return dataclasses.replace(config, **changes)


def _apply_kind(field, value, rest):
    name, table = flat_name(field), field.metadata["kinds"]
    if name in rest:
        wanted = rest.pop(name)
        if not isinstance(wanted, str):
            value = wanted
        elif wanted != value.kind:
            value = table[wanted].defaults(wanted) if wanted in table else wanted
    is_kind = is_settings(value) and not isinstance(value, NoSettings)
    return _apply(value, rest) if is_kind else value


def _misplaced(cls, config, name):
    """Says why a name has no place, and what gives it one."""
    owners = [entry.owners for entry in flat_settings(cls) if entry.name == name]
    if not owners:
        meant = did_you_mean(name, [*dict.fromkeys(entry.name for entry in flat_settings(cls)), *ALIASES])
        return f"the configuration has settings that this version does not know: {name}{meant}"
    chosen = chosen_kinds(config)
    role = next(role for role, kind in owners[0] if chosen.get(role) != kind)
    kinds = dict.fromkeys(kind for path in owners for at, kind in path if at == role)
    return f"{name} is a setting of {', '.join(kinds)}, got {role} {chosen[role]}; give {role}={next(iter(kinds))}"


def _names_in(cls, name):
    """The settings that the message about a misplaced name speaks of."""
    entries = flat_settings(cls)
    roles = [role for entry in entries if entry.name == name for role, _ in entry.owners]
    meant = nearest(name, [*dict.fromkeys(entry.name for entry in entries), *ALIASES])
    names: list[str] = [name, *roles, *([meant] if meant else [])]
    return tuple(dict.fromkeys(names))


def chosen_kinds(config: Any) -> dict[str, str]:
    """Returns the names of the kinds that a configuration has, by the flat name of the setting that chooses."""
    kinds = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("kinds"):
            kinds[flat_name(field)] = value.kind
        if is_settings(value):
            kinds |= chosen_kinds(value)
    return kinds


def flat_values(config: Any) -> dict[str, Any]:
    """Returns all settings of a configuration by their flat names, the names of its kinds among them."""
    return chosen_kinds(config) | {
        flat_name(field): value for field, value in leaves(config) if "kinds" not in field.metadata
    }
