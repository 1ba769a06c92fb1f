"""`lm-jax completion bash`: a script that completes verbs, flags and their choices in a shell."""

import dataclasses
import importlib

from lm_jax.cli.completion_scripts import SCRIPTS
from lm_jax.cli.flags import SHORT_NAMES, config_flags, flag_name, own_flags, positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.verbs import VERBS
from lm_jax.errors import one_of


@dataclasses.dataclass(frozen=True)
class CompletionArguments:
    """Print a script that completes verbs, flags and choices; lm_jax/README.md says where it goes."""

    shell: str = positional("Shell: bash, zsh or fish.", "SHELL")


def main(argv: list[str]) -> None:
    """Parses the arguments and prints the script."""
    arguments = parse(CompletionArguments, "completion", argv)
    print(one_of("shell", arguments.shell, SCRIPTS)({verb: flags_of(verb) for verb in VERBS}))


def flags_of(verb: str) -> dict[str, list[str] | None]:
    """Returns the flags of a verb with their choices: [] of a flag without a value, None where any word may follow."""
    import lm_jax.config as configs

    entry = VERBS[verb]
    module = importlib.import_module(f"lm_jax.cli.{entry.function.partition(':')[0]}")
    own = own_flags(getattr(module, entry.arguments), "run")
    flags: dict[str, list[str] | None] = {"--help": [], "--help-all": []}
    for flag in own + (config_flags(getattr(configs, entry.config)) if entry.config else []):
        name, is_switch = flag_name(flag.name), "type" not in flag.words
        choices = [word for word in flag.choices if ":" not in word]  # FILE.py:NAME is no word to type
        for each in (name, *SHORT_NAMES.get(flag.name, []), *([f"--no-{name[2:]}"] if is_switch else [])):
            flags[each] = [] if is_switch else choices or None
    return flags
