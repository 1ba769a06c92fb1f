"""The one exception for mistakes a user can make, and the checks of static arguments that raise it."""

import itertools
import numbers
from collections.abc import Mapping, Sequence
from typing import TypeVar


Value = TypeVar("Value")


class UserError(ValueError):
    """A request that cannot be carried out: the message is one line with the rule and the value that broke it.

    The command line prints the message and exits with code 2; scripts may catch it as a `ValueError`.
    settings: names of settings in the message, which the command line renders as its flags.
    """

    def __init__(self, message: str, settings: Sequence[str] = ()):
        super().__init__(message)
        self.settings = tuple(settings)


def check_sizes(**sizes: int) -> None:
    """Raises UserError unless every size is a whole number of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, numbers.Integral) or isinstance(size, bool) or size < 1:
            raise UserError(f"{name} must be a whole number of at least 1, got {size!r}", [name])


def check_rising(name: str, numbers: Sequence[int]) -> None:
    """Raises UserError unless the numbers are whole, at least 1, and rise. None at all rise too."""
    for number in numbers:
        check_sizes(**{name: number})
    if any(a >= b for a, b in itertools.pairwise(numbers)):
        raise UserError(f"{name} must be numbers that rise, got {tuple(numbers)}", [name])


def check_rate(name: str, rate: float) -> None:
    """Raises UserError unless 0 <= rate < 1: a rate is the share that is dropped."""
    if not 0.0 <= rate < 1.0:
        raise UserError(f"{name} is the share that is dropped and must be in [0, 1), got {rate!r}", [name])


def one_of(name: str, choice: str, options: Mapping[str, Value]) -> Value:
    """options[choice], or a UserError that names the options."""
    if choice not in options:
        raise UserError(f"{name} must be one of {', '.join(options)}, got {choice!r}", [name])
    return options[choice]
