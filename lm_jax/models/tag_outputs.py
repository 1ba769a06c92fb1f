"""Three outputs of a tagger: what its scores of single tags mean for a sequence of tags.

    softmax        P(y) = prod_t softmax(scores_t)[y_t]; the best string has the best tag at every word
    constrained    trained like softmax; the best string is sought among legal ones only
    crf            P(y) of a conditional random field with learnt transitions (Lample et al. 2016), without illegal ones

All are decoded in a field (crf.py): of softmax it has no transitions, of constrained it forbids the illegal ones.

Shapes: scores [T, *B, C], tags [T, *B], mask [T, *B]; C tags.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.data.spans import legal_transitions
from lm_jax.errors import UserError, one_of
from lm_jax.layers import target_log_probs
from lm_jax.models import crf


class TagOutput(NamedTuple):
    """An output: the number of its tags, and pure functions.

    init: () -> params, transitions of zeros, or None. log_prob: (params, scores, tags, mask) -> log P of a row's tags,
    [*B], which training maximises. field: params -> the field that is decoded.
    """

    tags: int
    init: Callable[[], crf.CRFParams | None]
    log_prob: Callable[..., Float[Array, "*B"]]
    field: Callable[[crf.CRFParams | None], crf.CRFParams]


def softmax_output(tags: Sequence[str]) -> TagOutput:
    """Makes the output of tags that are independent of each other given the words."""

    def log_prob(params, scores, labels, mask=None):
        log_probs = target_log_probs(scores, labels)
        return jnp.sum(log_probs if mask is None else jnp.where(mask, log_probs, 0.0), axis=0)

    return TagOutput(len(tags), lambda: None, log_prob, lambda params: crf.neutral_params(len(tags)))


def constrained_output(tags: Sequence[str]) -> TagOutput:
    """Makes an output that is trained like softmax, and whose best strings are legal.

    Raises UserError for tags that mark no spans: of them every string is legal.
    """
    legal = legal_transitions(tags)
    if legal is None:
        rule = "output constrained needs BIO or IOBES tags, of which not every one may follow every other"
        raise UserError(f"{rule}, got {', '.join(tags[:5])}", ["output"])
    return softmax_output(tags)._replace(field=lambda params: crf.constrain(crf.neutral_params(len(tags)), legal))


def crf_output(tags: Sequence[str]) -> TagOutput:
    """Makes a conditional random field over the tags; where they mark spans, of legal strings alone."""
    legal = legal_transitions(tags)

    def field(params):
        return crf.constrain(params, legal)

    def log_prob(params, scores, labels, mask=None):
        return crf.log_prob(field(params), scores, labels, mask)

    return TagOutput(len(tags), lambda: crf.neutral_params(len(tags)), log_prob, field)


OUTPUTS: dict[str, Callable[[Sequence[str]], TagOutput]] = {
    "softmax": softmax_output,
    "constrained": constrained_output,
    "crf": crf_output,
}


@cached
def tag_output(name: str, tags: Sequence[str]) -> TagOutput:
    """Makes the output of a name. Raises UserError for one that is not in `OUTPUTS`, or does not fit the tags."""
    return one_of("output", name, OUTPUTS)(tags)
