"""Texts, vocabularies and batches. Nothing here imports JAX."""

from lm_jax.data.batching import Batch, Batches, Streams, cut_streams, pack_lines, pad_streams
from lm_jax.data.corpora import Corpus, load_corpus
from lm_jax.data.vocabulary import Vocabulary, build_vocabulary


__all__ = [
    "Batch",
    "Batches",
    "Corpus",
    "Streams",
    "Vocabulary",
    "build_vocabulary",
    "cut_streams",
    "load_corpus",
    "pack_lines",
    "pad_streams",
]
