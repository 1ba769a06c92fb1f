"""Builds a tagger from a configuration and a vocabulary."""

import functools

import jax.numpy as jnp

from lm_jax.config import CHAR_FEATURES, TaggerConfig
from lm_jax.data.tag_vocabulary import TagVocabulary
from lm_jax.models.build import build_encoder
from lm_jax.models.tag_outputs import tag_output
from lm_jax.models.tagger import Tagger, TaggerInputs, tagger


@functools.cache
def build_tagger(config: TaggerConfig, vocabulary: TagVocabulary) -> Tagger:
    """Builds the tagger that a configuration describes.

    Raises UserError for a setting outside its range, and an output that does not fit the tags.
    """
    config.check()
    features = config.char_features
    make = CHAR_FEATURES[features.kind].make()
    options = {name: value for name, value in vars(features).items() if name.startswith("char_")}
    names = {"char_embedding_size": "embedding_size", "char_size": "output_size", "char_width": "width"}
    reader = make(len(vocabulary.characters), **{names[name]: value for name, value in options.items()})
    read = 0 if reader is None else reader.output_size
    model = tagger(
        build_encoder(config, config.embedding_size + read),
        tag_output(config.output, vocabulary.tags),
        vocabulary.counts,
        reader,
        rows=tuple(vocabulary.folded_rows().tolist()) if config.fold_case else None,
        word_dropout=config.word_dropout,
        dropout_rate=config.dropout,
        dropout_kind=config.dropout_kind,
    )
    spelling = vocabulary.encode_words(vocabulary.words, word_length(config))[1]
    longest = max(1, int((spelling >= 0).sum(axis=1).max(initial=0)))

    def inputs_of(words):
        return TaggerInputs(words, jnp.asarray(spelling[:, :longest], jnp.int32)[words])

    return model._replace(inputs_of=inputs_of)


def word_length(config: TaggerConfig) -> int:
    """Returns how many characters of a word are read at most."""
    return getattr(config.char_features, "word_length", 1)
