"""The one exception for mistakes a user can make, and the checks of static arguments that raise it."""

import contextlib
import itertools
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar


Value = TypeVar("Value")
LINE_ENDS = str.maketrans({end: repr(end)[1:-1] for end in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"})


class UserError(ValueError):
    """A request that cannot be carried out: the message is one line with the rule and the value that broke it, whose
    line ends are written out.

    The command line prints the message and exits with code 2; scripts may catch it as a `ValueError`.
    settings: names of settings in the message, which the command line renders as its flags.
    """

    def __init__(self, message: str, settings: Sequence[str] = ()):
        super().__init__(message.translate(LINE_ENDS))
        self.settings = tuple(settings)


@contextlib.contextmanager
def needing_extra(extra: str, what: str) -> Iterator[None]:
    """Makes a library that is missing, in the imports of its block, a UserError that says how to get it.

    Args:
        extra: The extra that installs it.
        what: What needs it, with the verb, such as "ONNX files need".
    """
    try:
        yield
    except ImportError as error:
        raise UserError(f'{what} the extra "{extra}": pip install "lm-jax[{extra}]"') from error


def check_sizes(**sizes: int) -> None:
    """Raises UserError unless every size is a whole number of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, numbers.Integral) or isinstance(size, bool) or size < 1:
            raise UserError(f"{name} must be a whole number of at least 1, got {size!r}", [name])


def check_rising(name: str, numbers: Sequence[int]) -> None:
    """Raises UserError unless the numbers are whole, at least 1, and rise. An empty sequence is accepted."""
    for number in numbers:
        check_sizes(**{name: number})
    if any(a >= b for a, b in itertools.pairwise(numbers)):
        raise UserError(f"{name} must be numbers that rise, got {' '.join(map(str, numbers))}", [name])


def check_rate(name: str, rate: float) -> None:
    """Raises UserError unless 0 <= rate < 1."""
    if not 0.0 <= rate < 1.0:
        raise UserError(f"{name} must be in [0, 1), got {rate!r}", [name])


def nearest(word: str, options: Iterable[str]) -> str | None:
    """Returns the option that a word is nearest to: its other case, its initials, its beginning, or a slip of the hand;
    None where none is near."""
    import difflib

    by_case = {option.lower(): option for option in options}
    typed = str(word).lower()
    initials = {"".join(part[:1] for part in low.split("-")): low for low in by_case if "-" in low.strip("-")}
    beginnings = [low for low in by_case if len(typed) > 2 and low.startswith(typed)]
    near = [low for low in (typed, initials.get(typed, "")) if low in by_case] + beginnings[:1]
    near += difflib.get_close_matches(typed, by_case, n=1)
    return by_case[near[0]] if near else None


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Writes "; did you mean X?" for the option that a word is nearest to; nothing where none is near."""
    near = nearest(word, options)
    return f"; did you mean {near}?" if near else ""


def one_of(name: str, choice: str, options: Mapping[str, Value]) -> Value:
    """Returns the option that a name chooses.

    Args:
        name: The setting, for the message.
        choice: The name that was given.
        options: The options by name.

    Raises:
        UserError: For another name; the message lists the options.
    """
    if choice not in options:
        raise UserError(
            f"{name} must be one of {', '.join(options)}, got {choice!r}{did_you_mean(choice, options)}", [name]
        )
    return options[choice]
