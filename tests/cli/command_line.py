"""What a verb reads from its command line, found without doing anything."""

import importlib
from typing import Any

import pytest

from lm_jax.cli.verbs import VERBS


class Parsed(Exception):
    """Stops a verb after it has read its command line. classes: of its arguments and of its settings."""

    def __init__(self, result: Any, classes: tuple[Any, ...]):
        self.arguments, self.given = result if isinstance(result, tuple) else (result, {})
        self.classes = classes


def parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any, dict[str, Any]]:
    """The verb, the arguments and the settings that are read from a command line."""
    verb, caught = stopped(words, monkeypatch)
    return verb, caught.arguments, caught.given


def stopped(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, Parsed]:
    """The verb of a command line, and what stopped it."""
    size = 2 if any(verb.startswith(f"{words[0]} ") for verb in VERBS) else 1
    verb = " ".join(words[:size])
    assert verb in VERBS
    name, _, function = VERBS[verb].function.partition(":")
    module = importlib.import_module(f"lm_jax.cli.{name}")
    with monkeypatch.context() as patch, pytest.raises(Parsed) as caught:
        patch.setattr("lm_jax.cli.parsing.check_run", lambda run: None)
        for place in (module, importlib.import_module("lm_jax.cli.train")):
            for reader in ("parse", "parse_with_config"):
                if hasattr(place, reader):
                    patch.setattr(place, reader, stopping(getattr(place, reader)))
        getattr(module, function)(words[size:])
    return verb, caught.value


def stopping(read):
    """A reader of command lines that stops its verb."""

    def stop(*arguments):
        raise Parsed(read(*arguments), arguments[:-2])

    return stop
