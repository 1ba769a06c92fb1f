"""Makes lm_jax/config/README.md, the page of all settings, from the dataclasses that declare them.

python -m tests.config.settings_page     in the root of a clone, after a setting was changed
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lm_jax import config
from lm_jax.cli.verbs import VERBS
from lm_jax.config.settings import choices, flat_name


PAGE = Path(__file__).parents[2] / "lm_jax" / "config" / "README.md"
HEAD = """# All settings

Every setting of every verb that trains: its flag, its field in Python, its default and its meaning. A setting is a
field of a frozen dataclass; flags, keywords and files of settings are made from the same fields.
`LSTMConfig.forget_bias` is `--cell lstm --forget-bias 1` and `RecurrentConfig(cell=LSTMConfig(forget_bias=1.0))`. A
setting of a cell, schedule or other kind that is not chosen is refused by its name. This page is made by `python -m
tests.config.settings_page`, and a test compares it with the dataclasses.
"""


def declared(cls: Any) -> Iterator[tuple[str, dataclasses.Field]]:
    """Yields the settings of a dataclass, of those inside it and of all kinds, each with the name of its dataclass."""
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.type):
            yield from declared(field.type)
        elif "help" in field.metadata:
            yield cls.__name__, field
            for kind in field.metadata.get("kinds", {}).values():
                if kind.config is not None:
                    yield from declared(kind.config)


def shown_default(field: dataclasses.Field) -> str:
    """Returns the default of a setting as a command line has it; a dash where there is none."""
    default = field.default_factory() if field.default is dataclasses.MISSING else field.default
    default = getattr(default, "kind", default)
    if default is None or default == () or default == "":
        return "-"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def row(owner: str, field: dataclasses.Field) -> str:
    """Returns the line of the table for one setting."""
    options = choices(field.type) or tuple(field.metadata.get("kinds", ()))
    values = "" if not options else " One of " + ", ".join(f"`{option}`" for option in options) + "."
    help = " ".join(f"{field.metadata['help']}{values}".split()).replace("<", "&lt;")
    flag = "--" + flat_name(field).replace("_", "-")
    return f"| `{flag}` | `{owner}.{field.name}` | {shown_default(field)} | {help} |"


def page() -> str:
    """Returns the text of the page: a table a verb, each setting in the first table that has it with this default."""
    text, seen = HEAD, set()
    for verb, entry in VERBS.items():
        if entry.config is None:
            continue
        rows = []
        for line in (row(owner, field) for owner, field in declared(getattr(config, entry.config))):
            if line not in seen:
                seen.add(line)
                rows.append(line)
        beyond = "" if verb == "train" else "\nBeside those of the tables above that `--help-all` lists:\n"
        table = "| flag | in Python | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows)
        text += f"\n## lm-jax {verb}\n{beyond}\n{table}\n"
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
