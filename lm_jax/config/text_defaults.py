"""Settings that the text chooses where a user gives none: a small text needs more passes and more dropout.

Measured with an LSTM of 256 units and Adam on texts of 100 kB, 465 kB, 1 MB and, of characters, 11 MB; of words above
1 MB from published recipes. The numbers are in lm_jax/README.md. A setting that is left open is None in a
configuration; a run fills it in before its folder is made, so that config.json has it as if it had been given.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from lm_jax.config.flat import from_flat
from lm_jax.config.settings import flat_name, leaves


class TextDefaults(NamedTuple):
    """Values of the settings that a text chooses, by their flat names."""

    learning_rate: float = 5e-3
    dropout: float = 0.0
    epochs: int = 8
    min_count: int = 1
    bptt: int = 64


UNCHOSEN = TextDefaults()  # where nothing has chosen, such as of a model without a run; so for texts too short to learn
QUICK = TextDefaults(learning_rate=1e-2, epochs=5, bptt=32)  # LSTM 1.60 bits per character, 1.62 with UNCHOSEN
QUICK_CELLS = ("lstm", "gru")  # an RNN is worse by it: 1.97 bits per character in place of 1.77
CHARACTERS = (  # training tokens up to which, and the values
    (20_000, UNCHOSEN),
    (200_000, TextDefaults(dropout=0.2, epochs=30)),
    (700_000, QUICK),
    (2_000_000, TextDefaults(dropout=0.1, epochs=8)),
    (20_000_000, TextDefaults(dropout=0.1, epochs=3)),
    (math.inf, TextDefaults(dropout=0.1, epochs=1)),
)
WORDS = (
    (4_000, UNCHOSEN),
    (50_000, TextDefaults(dropout=0.5, epochs=40, min_count=2)),
    (500_000, TextDefaults(dropout=0.5, epochs=10, min_count=2)),
    (5_000_000, TextDefaults(learning_rate=2e-3, dropout=0.3, epochs=6, min_count=3)),
    (math.inf, TextDefaults(learning_rate=2e-3, dropout=0.2, epochs=2, min_count=5)),
)
ROWS = {"char": CHARACTERS, "byte": CHARACTERS, "word": WORDS, "bpe": WORDS}
OWN_RATES = ("dropout_input", "dropout_layer", "dropout_output")


def text_defaults(level: str, tokens: int, has_unknown: bool = False, cell: str | None = "lstm") -> TextDefaults:
    """Returns the values for a text.

    Args:
        level: "char", "byte", "word" or "bpe".
        tokens: of the training text.
        has_unknown: whether the training text has the word <unk> already: then its vocabulary stays as it is.
        cell: the kind of recurrent cell; None of a model without one.
    """
    found = next(values for most, values in ROWS[level] if tokens <= most)
    if found is QUICK and cell not in QUICK_CELLS:
        found = UNCHOSEN
    return found._replace(min_count=1) if has_unknown or level != "word" else found


def fill_in(config: Any, values: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Returns a configuration with its open settings filled in, and those that were, by their flat names.

    values: of the settings that can be open, by their flat names, among others. Dropout that is given in part
    (dropout_input and the like) is not added to.
    """
    given = {flat_name(field): value for field, value in leaves(config)}
    opened = [name for name in TextDefaults._fields if name in values and given.get(name, "none such") is None]
    chosen = {name: values[name] for name in opened}
    if "dropout" in chosen and any(given.get(name) is not None for name in OWN_RATES):
        chosen["dropout"] = 0.0
    return from_flat(type(config), chosen, config), chosen
