"""What a closing table of a language model means, in sentences: shortened texts, unknown words, a better 5-gram."""

from collections.abc import Sequence

from lm_jax.data.corpora import Corpus, unknown_rate
from lm_jax.data.texts import SPLITS
from lm_jax.report.numbers import short
from lm_jax.tasks.closing_table import FIVE_GRAM, MOST_COUNTED, ClosingRow


OVERFITTED = 0.3  # nats per token between the training and the validation text, from which on more passes do not help


def closing_remarks(corpus: Corpus, rows: Sequence[ClosingRow], network: str | None = None) -> tuple[str, ...]:
    """Returns the sentences that a table needs.

    Args:
        corpus: the text.
        rows: of the table.
        network: the name of the model in it that is trained by steps; None where there is none.
    """
    remarks = [_shortened(corpus, rows), _uncounted(corpus), _untrained_unknown(corpus)]
    if network is not None:
        remarks.append(_better_five_gram(rows, network))
    return tuple(filter(None, remarks))


def _shortened(corpus, rows):
    lengths = {row.split: row.tokens for row in rows}
    parts = [
        f"of {split} the first {lengths[split]:,} of {len(getattr(corpus, split)):,} tokens"
        for split in SPLITS
        if split in lengths and lengths[split] < len(getattr(corpus, split))
    ]
    return f"scored in the table: {', '.join(parts)}" if parts else ""


def _uncounted(corpus):
    if len(corpus.train) <= MOST_COUNTED:
        return ""
    return (
        f"without n-grams above the unigram: counting {len(corpus.train):,} tokens takes minutes; "
        "an n-gram model that is trained with max_memory does it in bounded memory"
    )


def _untrained_unknown(corpus):
    """Of a text whose test part has unknown words, and whose training part has none to learn from."""
    vocabulary = corpus.vocabulary
    test = unknown_rate(vocabulary, corpus.test)
    if vocabulary.level != "word" or not test or unknown_rate(vocabulary, corpus.train):
        return ""
    return (
        f"{test:.1%} of the test words are <unk>, which the training text does not have: no model learns it, "
        "Kneser-Ney gives it next to nothing, and perplexities say little; min_count 2 makes rare words <unk>"
    )


def _better_five_gram(rows, network):
    by_place = {(row.split, row.model): row for row in rows}
    ours, theirs = (by_place.get(("valid", name)) for name in (network, FIVE_GRAM))
    if ours is None or theirs is None or ours.cross_entropy < theirs.cross_entropy:
        return ""
    train = by_place["train", network]
    overfitted = ours.cross_entropy - train.cross_entropy > OVERFITTED
    advice = "more dropout, a smaller hidden_size or more text" if overfitted else "more epochs"
    return (
        f"the 5-gram is better than the network: validation perplexity {short(theirs.perplexity)} against "
        f"{short(ours.perplexity)}; what to change: {advice}"
    )
