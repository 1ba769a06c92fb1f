"""A model that is compared with others: a run, or a mixture of runs."""

from typing import NamedTuple

from lm_jax.data.vocabulary import Vocabulary
from lm_jax.models.language_model import LanguageModel
from lm_jax.queries.run_size import RunSize
from lm_jax.types import Params


class ComparedModel(NamedTuple):
    """A model and what its row says of it beside its scores.

    name: of the row. run: the folder, None for a mixture. mode: how it reads a text. family: names its kind in a
    figure. weights: of a mixture, by name; None for a run.
    """

    name: str
    run: str | None
    mode: str
    family: str
    size: RunSize
    weights: dict[str, float] | None
    model: LanguageModel
    params: Params
    vocabulary: Vocabulary
