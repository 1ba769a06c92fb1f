"""The fields of a request, each of its type and within its range; what breaks a rule is told in one sentence."""

import math
from collections.abc import Mapping
from typing import Any

from lm_jax.errors import UserError, did_you_mean, one_of
from lm_jax.serve.limits import Limits


class Fields:
    """A JSON object that is read field by field; `close` refuses what nobody has read. A null is as good as nothing.

    Args:
        body: The object.
        limits: Of the server.
    """

    def __init__(self, body: Mapping[str, Any], limits: Limits):
        self.limits = limits
        self._body = {name: value for name, value in body.items() if value is not None}
        self._known: list[str] = []

    def any(self, name: str, default: Any = None) -> Any:
        """Returns a value of any type."""
        self._known.append(name)
        return self._body.pop(name, default)

    def text(self, name: str, default: str | None = None) -> str:
        """Returns a text of at most the limit; without a default it must be there."""
        value = self.any(name, default)
        if not isinstance(value, str):
            raise UserError(f"{name} must be a text, got {_shown(value)}", [name])
        if len(value) > self.limits.text:
            raise UserError(f"{name} may have {self.limits.text:,} characters, got {len(value):,}", [name])
        return value

    def whole(self, name: str, default: Any, least: int, most: int) -> Any:
        """Returns a whole number of a range.

        Args:
            name: The field.
            default: Where there is none.
            least: The smallest number allowed.
            most: The largest.
        """
        value = self.any(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise UserError(f"{name} must be a whole number from {least:,} to {most:,}, got {_shown(value)}", [name])
        return value

    def number(self, name: str, default: Any = None) -> Any:
        """Returns a finite number."""
        value = self.any(name)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise UserError(f"{name} must be a number, got {_shown(value)}", [name])
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """Returns true or false."""
        value = self.any(name, default)
        if not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, got {_shown(value)}", [name])
        return value

    def choice(self, name: str, options: Mapping[str, Any]) -> Any:
        """Returns the option of a name; the first one where none is named."""
        value = self.any(name, next(iter(options)))
        if not isinstance(value, str):
            raise UserError(f"{name} must be one of {', '.join(options)}, got {_shown(value)}", [name])
        return one_of(name, value, options)

    def close(self) -> None:
        """Raises UserError for a field that nobody has read."""
        for name in self._body:
            raise UserError(f"a field must be one of {', '.join(self._known)}, got {_shown(name)}{self._meant(name)}")

    def _meant(self, name):
        return did_you_mean(name, self._known)


def _shown(value):
    return "nothing" if value is None else repr(value)[:60]
