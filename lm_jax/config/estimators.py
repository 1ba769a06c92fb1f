"""Estimators of n-gram models, and their settings."""

import dataclasses
from typing import ClassVar

from lm_jax.config.kinds import Kind
from lm_jax.config.settings import positive, setting


@dataclasses.dataclass(frozen=True)
class AddK:
    """The same number added to every count."""

    kind: ClassVar[str] = "add-k"

    k: float = setting(1.0, "Number added to every count, the k of add-k.", rule=positive, group="model")


ESTIMATORS: dict[str, Kind] = {
    "modified-kneser-ney": Kind("lm_jax.models.ngram.estimate:modified_kneser_ney"),
    "kneser-ney": Kind("lm_jax.models.ngram.estimate:plain_kneser_ney"),
    "absolute-discounting": Kind("lm_jax.models.ngram.estimate:discounted"),
    "witten-bell": Kind("lm_jax.models.ngram.estimate:interpolated"),
    "jelinek-mercer": Kind("lm_jax.models.ngram.estimate:held_out_weights"),
    "katz": Kind("lm_jax.models.ngram.estimate:good_turing"),
    "add-k": Kind("lm_jax.models.ngram.estimate:plus_k", AddK),
    "stupid-backoff": Kind("lm_jax.models.ngram.estimate:scores_only"),
    "maximum-likelihood": Kind("lm_jax.models.ngram.estimate:relative_frequencies"),
}
ARPA = "arpa"  # of runs made from a file: nothing was estimated
SHORT_NAMES = {
    "modified-kneser-ney": "MKN",
    "kneser-ney": "KN",
    "absolute-discounting": "AD",
    "witten-bell": "WB",
    "jelinek-mercer": "JM",
    "katz": "Katz",
    "add-k": "add-k",
    "stupid-backoff": "stupid back-off",
    "maximum-likelihood": "ML",
    ARPA: "ARPA",
}
