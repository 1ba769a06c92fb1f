"""The text of a translation, with unknown words copied: each is the source word that attention read most."""

import numpy as np

from lm_jax.data.parallel_vocabulary import ParallelVocabulary
from lm_jax.inference.translation import alignment
from lm_jax.models.translator import Translator
from lm_jax.types import Params


def spell(
    model: Translator, params: Params, vocabulary: ParallelVocabulary, source: str, target: np.ndarray
) -> list[str]:
    """Returns the tokens of a translation as strings.

    Args:
        model: a translator; without attention unknown words stay as they are.
        params: its parameters.
        vocabulary: its vocabularies.
        source: the sentence that was translated.
        target: ids of the translation without its end, int [T].
    """
    tokens, unknown = vocabulary.target_tokens(target), vocabulary.target.unk_id
    if model.align is None or unknown is None or unknown not in target:
        return tokens
    weights = alignment(model, params, vocabulary.encode_source(source), target, vocabulary.target.eol_id)
    words = vocabulary.source_tokens(source)
    read = weights.argmax(axis=1)
    return [words[read[t]] if target[t] == unknown else token for t, token in enumerate(tokens)]


def write(model: Translator, params: Params, vocabulary: ParallelVocabulary, source: str, target: np.ndarray) -> str:
    """Returns a translation as a text.

    Args:
        model: The translator.
        params: Its parameters.
        vocabulary: The vocabularies of the two languages.
        source: The source sentence.
        target: Ids of the translation, int [T].
    """
    if vocabulary.level != "word":
        return vocabulary.decode(target)
    return vocabulary.join(spell(model, params, vocabulary, source, target))
