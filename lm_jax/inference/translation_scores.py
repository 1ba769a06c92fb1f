"""How good translations are: exact matches, and BLEU and chrF by sacrebleu (an extra; Post 2018)."""

import importlib
from collections.abc import Sequence
from typing import NamedTuple

from lm_jax.errors import UserError


class TranslationScores(NamedTuple):
    """exact: share of translations that equal their reference. bleu, chrf: from 0 to 100; None without the extra.

    signature: how sacrebleu computed them, to report with the numbers; "" without it.
    """

    exact: float
    bleu: float | None = None
    chrf: float | None = None
    signature: str = ""

    @property
    def words(self) -> str:
        """The scores in words."""
        if self.bleu is None or self.chrf is None:
            return f"exact {self.exact:.2%}"
        return f"exact {self.exact:.2%}, BLEU {self.bleu:.2f}, chrF {self.chrf:.2f}"


def score_translations(found: Sequence[str], references: Sequence[str], lower: bool = False) -> TranslationScores:
    """Scores translations beside their references.

    Args:
        found: a translation each.
        references: as many; the texts themselves, not tokens.
        lower: compare in lower case.

    Raises:
        UserError: for another number of references than of translations, or none.
    """
    if len(found) != len(references) or not found:
        raise UserError(f"translations need as many references, and one at least, got {len(found)}, {len(references)}")
    if lower:
        found, references = [text.lower() for text in found], [text.lower() for text in references]
    exact = sum(one == other for one, other in zip(found, references, strict=True)) / len(found)
    try:
        library = importlib.import_module("sacrebleu.metrics")
    except ImportError:
        return TranslationScores(exact)
    bleu, chrf = library.BLEU(lowercase=lower), library.CHRF(lowercase=lower)
    scores = [metric.corpus_score(list(found), [list(references)]).score for metric in (bleu, chrf)]
    signature = f"BLEU {bleu.get_signature()}; chrF {chrf.get_signature()}"
    return TranslationScores(exact, scores[0], scores[1], signature)
