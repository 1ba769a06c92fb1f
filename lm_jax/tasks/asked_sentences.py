"""The sentences of the validation data whose answers telemetry measures, and how far each word is from the answer."""

import numpy as np

from lm_jax.config import ClassifyConfig
from lm_jax.data.labelled import LabelledCorpus
from lm_jax.inference.translation import pad_columns
from lm_jax.report.answer_figure import AnswerWords
from lm_jax.report.figures import UNITS
from lm_jax.tasks.answer_telemetry import AskedSentences, chosen_sentences


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
