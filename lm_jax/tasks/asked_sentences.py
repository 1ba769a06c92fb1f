"""The sentences of the validation data whose answers telemetry measures, and how far each word is from the answer."""

from collections.abc import Mapping
from typing import Protocol

import jax.numpy as jnp
import numpy as np

from lm_jax.config import ClassifyConfig, TagConfig, TranslateConfig
from lm_jax.data.labelled import LabelledCorpus
from lm_jax.data.parallel import ParallelCorpus
from lm_jax.data.tag_vocabulary import EncodedSentences
from lm_jax.inference.translation import pad_columns
from lm_jax.models.tagger import TaggerInputs
from lm_jax.models.translator import teacher_forced
from lm_jax.report.answer_figure import AnswerWords
from lm_jax.report.figures import UNITS
from lm_jax.tasks.answer_telemetry import AskedSentences, chosen_sentences


class TaggedSplits(Protocol):
    """A corpus of tagged sentences."""

    @property
    def splits(self) -> Mapping[str, EncodedSentences]:
        """Its sentences by split."""
        ...


def labelled_texts(settings: ClassifyConfig, corpus: LabelledCorpus) -> AskedSentences:
    """Takes the right label of each text.

    The distance of a word is that from the end of the text, where the encoder has read everything; where it reads both
    ways, from the nearer end. With --pooling last it is the number of recurrent steps to the label.
    """
    valid = corpus.splits["valid"]
    rows = chosen_sentences(valid.lengths)
    texts, mask = pad_columns(rows, valid.tokens)
    places = np.arange(len(texts))[:, None]
    from_end = mask.sum(axis=0) - 1 - places
    distances = np.minimum(places, from_end) if settings.model.bidirectional else from_end
    only_one = np.zeros(len(rows), int)
    return AskedSentences(texts, valid.labels[rows], mask, only_one, np.where(mask, distances, -1))


def label_words(settings: ClassifyConfig) -> AnswerWords:
    """How a person reads of a label's gradient."""
    unit, end = UNITS[settings.data.level], "nearer end" if settings.model.bidirectional else "end"
    return AnswerWords("label", unit, f"{unit}s from the {end} of the text")


def tagged_sentences(settings: TagConfig, corpus: TaggedSplits) -> AskedSentences:
    """Takes the right tag of one word of each sentence, from the first word to the last.

    The distance of a word is that from the tagged word, before it or after it.
    """
    del settings
    valid = corpus.splits["valid"]
    rows = chosen_sentences(valid.lengths)
    positions, mask = pad_columns(rows, np.split(np.arange(len(valid.words)), valid.starts[1:]))
    chosen = _spread(valid.lengths[rows])
    inputs = TaggerInputs(jnp.asarray(valid.words[positions]), jnp.asarray(valid.characters[positions]))
    distances = np.abs(np.arange(len(mask))[:, None] - chosen)
    return AskedSentences(inputs, valid.tags[positions], mask, chosen, np.where(mask, distances, -1))


def tag_words(settings: TagConfig) -> AnswerWords:
    """How a person reads of a tag's gradient."""
    del settings
    return AnswerWords("tag", "word", "words from the tagged one")


def translated_sentences(settings: TranslateConfig, corpus: ParallelCorpus) -> AskedSentences:
    """Takes one token of each right translation, given those before it, from the first token to the end.

    The distance of a source token is the number of recurrent steps from reading it to writing the translated one, on
    the shortest way that does not use attention.
    """
    valid, model = corpus.splits["valid"], settings.model
    rows = chosen_sentences(np.maximum(valid.source_lengths, valid.target_lengths))
    (source, mask), (target, real) = pad_columns(rows, valid.sources), pad_columns(rows, valid.targets)
    chosen = _spread(valid.target_lengths[rows])
    places = np.arange(len(source))[:, None]
    from_start, from_end = places + 1, mask.sum(axis=0) - places  # steps to the end of an encoder of either direction
    steps = from_start if model.reverse_source else from_end
    steps = np.minimum(from_start, from_end) if model.bidirectional else steps
    answers = teacher_forced(jnp.where(real, target, -1), corpus.vocabulary.target.eol_id)
    return AskedSentences(source, answers, mask, chosen, np.where(mask, steps + chosen, -1))


def translation_words(settings: TranslateConfig) -> AnswerWords:
    """How a person reads of a translated token's gradient."""
    unit = UNITS[settings.data.level]
    return AnswerWords(f"translated {unit}", unit, "recurrent steps from reading to writing")


def _spread(lengths):
    """A place in each sentence: in the first one its beginning, in the last one its end."""
    return np.rint(np.linspace(0, 1, len(lengths)) * (lengths - 1)).astype(int)
