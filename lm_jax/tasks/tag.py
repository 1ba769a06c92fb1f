"""The task of a tagger of words."""

import dataclasses
import functools
import time
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
import numpy as np

from lm_jax.analysis.first_nonfinite_encoder import first_nonfinite_encoder
from lm_jax.config import TagConfig, cell_title
from lm_jax.data.buckets import Buckets
from lm_jax.data.tag_vocabulary import UNKNOWN_ID, EncodedSentences, TagVocabulary, build_tag_vocabulary
from lm_jax.data.tagged import check_legal, check_scheme, check_tags, load_tagged, load_tagged_split
from lm_jax.data.tagged_files import Sentence
from lm_jax.data.texts import SPLITS
from lm_jax.inference.tagging import score_tags
from lm_jax.models.build_tagger import build_tagger, word_length
from lm_jax.models.tag_outputs import tag_output
from lm_jax.models.tagger import Tagger
from lm_jax.report.html import fragment, table_html
from lm_jax.report.rows import Rows
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks.answer_telemetry import answer_telemetry
from lm_jax.tasks.asked_sentences import tag_words, tagged_sentences
from lm_jax.tasks.base import Closing, EvaluationRequest, ProgressFn, SavedData, Task
from lm_jax.tasks.paths import with_absolute_files
from lm_jax.tasks.tag_scores import TagRow, most_frequent_tags, score_row, score_table
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.diagnosis import Finding
from lm_jax.training.listener import Score
from lm_jax.training.losses import LossFn, Tally
from lm_jax.training.sentences import sentence_source
from lm_jax.types import Carry, Key, Params


SCORED = ("valid", "test")
EXAMPLES = 3  # sentences of the test data to look at
SHORT = 25  # words of a sentence that is shown


@shortly_shown
class Tagging(NamedTuple):
    """Scores of tagged sentences: see `TagRow`."""

    tokens: int
    unseen: int
    accuracy: float
    unseen_accuracy: float | None
    f1: float | None
    cross_entropy: float
    seconds: float

    def _repr_html_(self) -> str:
        return fragment(type(self).__name__, table_html(Rows([self]).table()))

    @property
    def words(self) -> str:
        """The scores in a line."""
        unseen = "" if self.unseen_accuracy is None else f" ({self.unseen_accuracy:.2%} of {self.unseen:,} unseen ones)"
        f1 = "" if self.f1 is None else f", F1 of spans {self.f1:.2%}"
        return (
            f"{self.tokens:,} words: accuracy {self.accuracy:.2%}{unseen}{f1}, cross-entropy "
            f"{self.cross_entropy:.4f} nats per word, {self.seconds:.1f} s"
        )


@dataclasses.dataclass(frozen=True)
class TaggedCorpus:
    """Encoded sentences by split, and those of the test data as they are written."""

    source: str
    sha256: str
    vocabulary: TagVocabulary
    splits: dict[str, EncodedSentences]
    examples: tuple[Sentence, ...]
    padding: float

    @property
    def record(self) -> dict[str, Any]:
        """JSON values that a run folder keeps of its data."""
        return {
            "source": self.source,
            "sha256": self.sha256,
            "sentences": {split: len(part.lengths) for split, part in self.splits.items()},
            "words": {split: len(part.words) for split, part in self.splits.items()},
            "vocabulary": len(self.vocabulary.words),
            "tags": list(self.vocabulary.tags),
            "padding": self.padding,
        }

    @property
    def phrases(self) -> tuple[str, ...]:
        """The data in a few words each."""
        train, vocabulary = self.splits["train"], self.vocabulary
        scheme = "" if vocabulary.scheme is None else f" ({vocabulary.scheme})"
        return (
            f"{len(vocabulary.tags)} tags{scheme}",
            f"vocabulary {len(vocabulary.words):,}",
            f"{len(train.lengths):,} sentences of {len(train.words):,} words",
            f"{self.padding:.0%} padding",
        )


def _load(settings: TagConfig, saved: SavedData | None) -> TaggedCorpus:
    texts = load_tagged(settings.data.data, settings.data.column, settings.data.max_length)
    sha256 = texts.sha256
    if saved is None:
        check_scheme(texts.splits["train"])
        vocabulary = build_tag_vocabulary(texts.splits["train"])
    else:
        saved.check_same(texts.source, sha256)
        vocabulary = saved.vocabulary
    tag_output(settings.model.output, vocabulary.tags)  # refuses one that does not fit
    splits = {split: _encode(settings, vocabulary, texts.splits[split]) for split in SPLITS}
    padding = Buckets(splits["train"].lengths, settings.batch_size).padding
    examples = [sentence for sentence in texts.splits["test"] if len(sentence.words) <= SHORT]
    return TaggedCorpus(texts.source, sha256, vocabulary, splits, tuple(examples[:EXAMPLES]), padding)


def _encode(settings, vocabulary, sentences) -> EncodedSentences:
    return vocabulary.encode(sentences, word_length(settings.model), settings.model.fold_case)


def _model(settings: TagConfig, vocabulary: TagVocabulary) -> Tagger:
    return build_tagger(settings.model, vocabulary)


def _batches(settings: TagConfig, corpus: TaggedCorpus, model: Tagger) -> BatchSource:
    train = corpus.splits["train"]
    cuts = train.starts[1:]
    buckets = Buckets(train.lengths, settings.batch_size, settings.seed)
    return sentence_source(buckets, np.split(train.words, cuts), np.split(train.tags, cuts))


def _loss(settings: TagConfig, model: Tagger) -> LossFn:
    inputs_of: Any = model.inputs_of

    def mean_loss(params, carry, batch, key, whole=None):
        tags = jnp.maximum(batch.labels, 0)
        log_probs = model.log_prob(params, inputs_of(batch.tokens), tags, mask=batch.mask, key=key)
        nll, count = -jnp.sum(log_probs), jnp.sum((batch if whole is None else whole).mask)
        return nll / jnp.maximum(count, 1), (carry, Tally(nll, jnp.sum(batch.mask)))

    return mean_loss


def _validate(settings: TagConfig, corpus: TaggedCorpus, model: Tagger, params: Params, progress: ProgressFn) -> Score:
    row = _row(settings, corpus, model, params, "valid", functools.partial(progress, "validating"))
    named = {f"valid_{name}": value for name, value in row.metrics.items() if name != "cross_entropy"}
    words = f"accuracy {row.accuracy:.2%}"
    words += "" if row.unseen_accuracy is None else f", {row.unseen_accuracy:.2%} of unseen words"
    words += "" if row.f1 is None else f", F1 of spans {row.f1:.2%}"
    return Score(float(row.cross_entropy or 0.0), named, words, criterion=row.criterion)


def _row(settings, corpus, model, params, split, progress) -> TagRow:
    sentences = corpus.splits[split]
    scores = score_tags(model, params, sentences, progress)
    cross_entropy = -float(scores.log_probs.sum()) / len(sentences.words)
    return score_row(split, "tagger", corpus.vocabulary, sentences, scores.tags, cross_entropy)


def _close(
    settings: TagConfig, corpus: TaggedCorpus, model: Tagger, params: Params, key: Key, progress: ProgressFn
) -> Closing:
    frequent, rows = most_frequent_tags(corpus.vocabulary, corpus.splits["train"]), []
    for split in SCORED:
        sentences = corpus.splits[split]
        baseline = frequent[np.where(sentences.unseen, UNKNOWN_ID, sentences.words)]
        rows.append(score_row(split, "most frequent tag", corpus.vocabulary, sentences, baseline))
        rows.append(_row(settings, corpus, model, params, split, functools.partial(progress, f"scoring {split}")))
    return Closing(
        rows=tuple(rows),
        table=score_table(tuple(rows)),
        summary={row.split: row.metrics for row in rows[1::2]},
        sample=_examples(settings, corpus, model, params),
        next_command="lm-jax tag predict {run} FILE",
    )


def _examples(settings, corpus, model, params) -> str:
    """The first short sentences of the test data with the model's tags, and the right one after a wrong one."""
    vocabulary, lines = corpus.vocabulary, []
    encoded = _encode(settings, vocabulary, corpus.examples)
    found = iter(vocabulary.tags[tag] for tag in score_tags(model, params, encoded).tags)
    for sentence in corpus.examples:
        pairs = zip(sentence.words, sentence.tags, found, strict=False)
        words = (f"{word}/{tag}" if tag == true else f"{word}/{tag}[not {true}]" for word, true, tag in pairs)
        lines.append(" ".join(words))
    return "\n".join(lines)


def _evaluate(
    settings: TagConfig, vocabulary: TagVocabulary, model: Tagger, params: Params, request: EvaluationRequest
) -> Tagging:
    data, started = settings.data, time.perf_counter()
    source = data.data if request.data is None else request.data
    sentences = load_tagged_split(source, data.column, data.max_length, request.split)
    check_tags(sentences, vocabulary.tags)
    check_legal(sentences, vocabulary.tags)
    encoded = _encode(settings, vocabulary, sentences)
    scores = score_tags(model, params, encoded, request.progress)
    row = score_row(request.split, "tagger", vocabulary, encoded, scores.tags)
    return Tagging(
        row.tokens,
        row.unseen,
        row.accuracy,
        row.unseen_accuracy,
        row.f1,
        -float(scores.log_probs.sum()) / row.tokens,
        time.perf_counter() - started,
    )


def _name(settings: TagConfig) -> str:
    model = settings.model
    directions = "bidirectional " if model.bidirectional else ""
    features = "" if model.char_features.kind == "none" else f"char-{model.char_features.kind.upper()}, "
    return f"{directions}{cell_title(_family(settings))} {model.layers}x{model.hidden_size} ({features}{model.output})"


def _family(settings: TagConfig) -> str:
    """Such as lstm; of a user's own cell FILE.py:NAME the last part."""
    return settings.model.cell.kind.rpartition(":")[2]


def diagnose(model: Tagger, params: Params, carry: Carry, batch: dict[str, Any]) -> Finding | None:
    """Finds the first number inside the model that is none."""
    arrays, inputs_of = {name: jnp.asarray(array) for name, array in batch.items()}, cast("Any", model.inputs_of)
    mask, tags = arrays["mask"], jnp.maximum(arrays["labels"], 0)
    return first_nonfinite_encoder(model.opened, params, inputs_of(arrays["tokens"]), mask, tags, mask)


TAG = Task(
    config=TagConfig,
    name=_name,
    folder_name=lambda settings: f"tag-{_family(settings)}",
    family=_family,
    load=_load,
    read_vocabulary=TagVocabulary.load,
    model=_model,
    batches=_batches,
    loss=_loss,
    diagnose=diagnose,
    validate=_validate,
    close=_close,
    evaluate=_evaluate,
    loss_label=lambda settings: "cross-entropy (nats per word)",
    telemetry=answer_telemetry(tagged_sentences, tag_words),
    with_absolute_paths=with_absolute_files,
    movable=("data",),
    unit="words",
    command="tag train",
    model_type="tagger",
)
