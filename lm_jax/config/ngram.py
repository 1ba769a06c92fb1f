"""Settings of an n-gram model."""

import dataclasses
from typing import Any, ClassVar, Literal

from lm_jax.config.data import DataConfig
from lm_jax.config.estimators import ARPA, ESTIMATORS
from lm_jax.config.kinds import NoSettings, choice_of, choose, coerce_kinds
from lm_jax.config.settings import check, count, setting


def estimator_settings(value: Any) -> Any:
    """Returns the settings of an estimator; "arpa" is that of runs made from a file."""
    if value in (ARPA, NoSettings(ARPA)):
        return NoSettings(ARPA)
    return choose("method", value, ESTIMATORS)


@dataclasses.dataclass(frozen=True)
class NGramConfig:
    """Settings of an n-gram model that is estimated from the counts of a text."""

    task: ClassVar[str] = "ngram"
    mode: ClassVar[str] = "stream"  # an end-of-line token leads back to the start context, so lines are alone anyway

    data: DataConfig = DataConfig()
    order: int = setting(5, "Order n of the n-grams.", rule=count, group="model", common=True)
    method: Any = choice_of(
        ESTIMATORS,
        "modified-kneser-ney",
        "Smoothing method.",
        coerce=estimator_settings,
        group="model",
        common=True,
    )
    prune_counts: tuple[int, ...] = setting(
        (),
        "Counts up to which n-grams are left out, for orders 1, 2, ..., such as 0 0 1; the last holds above too.",
        group="model",
    )
    vocab_convention: Literal["own", "kenlm"] = setting(
        "own",
        "Convention for the vocabulary; kenlm: one more entry, never seen, as KenLM counts its <unk>.",
        group="text",
    )
    max_memory: int | None = setting(
        None,
        "Memory for n-grams in MiB, beside Python and JAX; longer tables lie in temporary files. Without it, no bound.",
        rule=count,
        group="model",
    )
    eval_streams: int = setting(
        10,
        "Parallel streams that validation and test texts are cut into. Perplexities are comparable only at equal N.",
        rule=count,
        group="reports",
    )

    def __post_init__(self):
        coerce_kinds(self)

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        check(self)
        self.data.check()
