"""`POST /v1/states`: the values of chosen units along a text, or of those that follow a pattern."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lm_jax.errors import UserError
from lm_jax.queries import HiddenStates, states, units_like
from lm_jax.queries.token_text import to_ids
from lm_jax.serve.answers import Answer, model_of
from lm_jax.serve.fields import Fields
from lm_jax.serve.models import Served, with_reader


MOST_TOKENS = 2_000
MOST_UNITS = 20


def inside(models: Mapping[str, Served], fields: Fields) -> Answer:
    """Reads the fields: units as pairs of a name and a number, or a pattern of zeros and ones, one a token."""
    served = model_of(models, fields)
    vocabulary, text = with_reader(served).run.vocabulary, fields.text("text")
    units, pattern = _units(fields.any("units", [])), _pattern(fields.any("pattern"))
    k = fields.whole("k", 8, 1, MOST_UNITS)
    fields.close()

    def answer():
        if len(to_ids(vocabulary, text)) > MOST_TOKENS:
            raise UserError(f"text may have {MOST_TOKENS:,} tokens to look inside, got more", ["text"])
        found = states(served.run, text)
        matches = [(name, unit, None) for name, unit in units] if pattern is None else units_like(found, pattern, k)
        arrays = {name: values.shape[1] for name, values in found.values.items()}
        strips = [_strip(found, *match) for match in matches]
        return {"model": served.name, "tokens": found.tokens, "arrays": arrays, "units": strips}

    return answer


def _strip(found: HiddenStates, name: str, unit: int, correlation: float | None) -> dict[str, Any]:
    if name not in found.values or unit >= found.values[name].shape[1]:
        sizes = ", ".join(f"{name} 0 to {values.shape[1] - 1}" for name, values in found.values.items())
        raise UserError(f"units must be of {sizes}, got {name} {unit}", ["units"])
    values = np.round(found.values[name][:, unit].astype(np.float64), 4).tolist()
    shown = None if correlation is None else round(correlation, 4)
    return {"name": name, "unit": unit, "correlation": shown, "values": values}


def _units(given: Any) -> list[tuple[str, int]]:
    if not isinstance(given, list) or len(given) > MOST_UNITS:
        raise UserError(f"units must be a list of at most {MOST_UNITS}, got {str(given)[:40]!r}", ["units"])
    for pair in given:
        right = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and type(pair[1]) is int
        if not right or pair[1] < 0:
            raise UserError(f'units must be pairs such as ["h", 3], got {str(pair)[:40]!r}', ["units"])
    return [(name, unit) for name, unit in given]


def _pattern(given: Any) -> list[int] | None:
    if given is not None and not (isinstance(given, list) and all(value in (0, 1) for value in given)):
        raise UserError(f"pattern must be a list of zeros and ones, got {str(given)[:40]!r}", ["pattern"])
    return given
