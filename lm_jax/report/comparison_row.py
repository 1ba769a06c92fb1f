"""The record of one model in a comparison, which tables, figures and files of a comparison are made of."""

from typing import NamedTuple

from lm_jax.inference.significance import Interval
from lm_jax.short_repr import shortly_shown


@shortly_shown
class ComparisonRow(NamedTuple):
    """A model on the text that all models of a comparison are scored on; low and high are ends of a 95 % interval.

    name: the last part of the folder, or what tells the runs apart. run: the folder, None for a mixture.
    family: "n-gram", "window", "mixture", or a cell such as "lstm".
    parameters, ngrams: one is None for a run; a mixture has the sums of its runs, as of bytes and training_seconds.
    bytes: on disk, of the best parameters or the tables, with settings and vocabulary.
    training_seconds: None if not recorded. weights: of a mixture, by name; None for a run.
    samples, seed: of the bootstrap and the test.
    vocabulary: number of entries. cross_entropy: nats per token; None, as perplexity is, where the vocabularies differ.
    spelled: whether the tokens give the text back, character by character.
    impossible: tokens of probability 0, which make a perplexity infinite.
    tokens_per_second: compiling apart.
    difference: from the row above, in difference_unit (nats per token or bits per character; below 0: this row is
        better); None, as p_value is, where the two do not compare.
    """

    name: str
    run: str | None
    mode: str
    family: str
    parameters: int | None
    ngrams: int | None
    bytes: int
    training_seconds: float | None
    weights: dict[str, float] | None
    source: str
    split: str
    samples: int
    seed: int
    level: str
    vocabulary: int
    eval_streams: int
    tokens: int
    characters: int
    cross_entropy: float | None
    cross_entropy_low: float | None
    cross_entropy_high: float | None
    perplexity: float | None
    perplexity_low: float | None
    perplexity_high: float | None
    bits_per_character: float
    bits_per_character_low: float
    bits_per_character_high: float
    bits_per_byte: float
    unk_rate: float
    spelled: bool
    impossible: int
    tokens_per_second: float
    blocks: int
    block_size: float
    block_unit: str
    difference_unit: str
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    p_value: float | None

    def interval(self, name: str) -> Interval | None:
        """Returns the value with the ends of its interval of a field that has NAME_low and NAME_high;
        None without a value."""
        estimate = getattr(self, name)
        if estimate is None:
            return None
        return Interval(estimate, getattr(self, f"{name}_low"), getattr(self, f"{name}_high"))
