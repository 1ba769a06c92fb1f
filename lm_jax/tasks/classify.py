"""The task of a classifier of texts."""

import dataclasses
import functools
import time
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lm_jax.analysis.first_nonfinite_encoder import first_nonfinite_encoder
from lm_jax.config import ClassifyConfig, cell_title
from lm_jax.data.buckets import Buckets
from lm_jax.data.label_vocabulary import LabelVocabulary
from lm_jax.data.labelled import (
    LabelledCorpus,
    LabelledTokens,
    build_label_vocabulary,
    encode_split,
    fingerprint,
    most_frequent,
    read_splits,
)
from lm_jax.data.word_vectors import WordVectors, read_vectors
from lm_jax.errors import UserError
from lm_jax.inference.classification import class_log_probs
from lm_jax.layers import target_log_probs
from lm_jax.models.build import build_classifier
from lm_jax.models.classifier import Classifier
from lm_jax.models.naive_bayes import fit_naive_bayes, naive_bayes_log_probs
from lm_jax.report.html import fragment, table_html
from lm_jax.report.rows import Rows
from lm_jax.report.table import Table
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks.answer_telemetry import answer_telemetry
from lm_jax.tasks.asked_sentences import label_words, labelled_texts
from lm_jax.tasks.base import Closing, EvaluationRequest, ProgressFn, SavedData, Task
from lm_jax.tasks.paths import with_absolute_files
from lm_jax.tasks.warm_start import with_run, with_vectors
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.diagnosis import Finding
from lm_jax.training.listener import Score
from lm_jax.training.losses import LossFn, Tally
from lm_jax.training.sentences import sentence_source
from lm_jax.types import Carry, Key, Params


EXAMPLES = 3  # texts of the test data to look at, beside their labels
WIDEST = 72  # characters of one of them


class ClassificationRow(NamedTuple):
    """Scores of one model on one split. cross_entropy in nats per text; None of what gives no probabilities."""

    split: str
    model: str
    texts: int
    accuracy: float
    cross_entropy: float | None


@shortly_shown
class Classification(NamedTuple):
    """Scores of labelled texts. cross_entropy in nats per text; accuracies: by class, for those that occur."""

    texts: int
    accuracy: float
    cross_entropy: float
    accuracies: dict[str, float]
    seconds: float

    def _repr_html_(self) -> str:
        return fragment(type(self).__name__, table_html(Rows([self]).table()))

    @property
    def words(self) -> str:
        """The scores in a line."""
        worst = min(self.accuracies, key=lambda label: self.accuracies[label])
        return (
            f"{self.texts:,} texts: accuracy {self.accuracy:.2%}, cross-entropy {self.cross_entropy:.4f} nats per "
            f"text; least accurate {worst} ({self.accuracies[worst]:.1%}), {self.seconds:.1f} s"
        )


@dataclasses.dataclass(frozen=True)
class ClassifierCorpus(LabelledCorpus):
    """Labelled texts, the share of padding in training, and the vectors that a new run begins with."""

    padding: float = 0.0
    vectors: WordVectors | None = None

    @property
    def phrases(self) -> tuple[str, ...]:
        """The data in a few words each."""
        more = (f"{self.padding:.0%} padding",)
        if self.vectors is not None:
            more += (f"{self.vectors.missing:.1%} of the words without a vector",)
        return super().phrases + more


def _load(settings: ClassifyConfig, saved: SavedData | None) -> ClassifierCorpus:
    data = settings.data
    source, splits = read_splits(data.data, data.text_column, data.label_column)
    sha256 = fingerprint(splits)
    if saved is None:
        vocabulary = build_label_vocabulary(
            splits, data.level, data.tokenizer, data.lower, data.min_count, data.max_vocab
        )
    else:
        saved.check_same(source, sha256)
        vocabulary = saved.vocabulary
    encoded = {split: encode_split(vocabulary, texts, data.max_length) for split, texts in splits.items()}
    vectors = None
    if settings.vectors is not None and saved is None:
        vectors = read_vectors(settings.vectors, vocabulary.inputs, settings.model.embedding_size)
    padding = Buckets(encoded["train"].lengths, settings.batch_size).padding
    return ClassifierCorpus(source, sha256, vocabulary, encoded, padding, vectors)


def _model(settings: ClassifyConfig, vocabulary: LabelVocabulary) -> Classifier:
    return build_classifier(settings.model, len(vocabulary), len(vocabulary.labels), vocabulary.unk_id)


def _batches(settings: ClassifyConfig, corpus: ClassifierCorpus, model: Classifier) -> BatchSource:
    train = corpus.splits["train"]
    buckets = Buckets(train.lengths, settings.batch_size, settings.seed)
    return sentence_source(buckets, train.tokens, list(train.labels[:, None]))


def _loss(settings: ClassifyConfig, model: Classifier) -> LossFn:
    def mean_loss(params, carry, batch, key, whole=None):
        labels = batch.labels[0]
        logits = model.logits(params, batch.tokens, mask=batch.mask, key=key)
        log_probs = target_log_probs(logits, jnp.maximum(labels, 0))
        nll = -jnp.sum(jnp.where(labels >= 0, log_probs, 0.0))
        count = jnp.sum((batch if whole is None else whole).labels[0] >= 0)
        return nll / jnp.maximum(count, 1), (carry, Tally(nll, jnp.sum(labels >= 0)))

    return mean_loss


def _validate(
    settings: ClassifyConfig, corpus: ClassifierCorpus, model: Classifier, params: Params, progress: ProgressFn
) -> Score:
    valid = corpus.splits["valid"]
    log_probs = class_log_probs(model, params, valid.tokens, functools.partial(progress, "validating"))
    loss, accuracy = _scores(log_probs, valid.labels)
    return Score(loss, {"valid_accuracy": accuracy}, f"accuracy {accuracy:.2%}", criterion=1 - accuracy)


def _scores(log_probs: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Cross-entropy in nats per text, and accuracy."""
    chosen = log_probs[np.arange(len(labels)), labels]
    return -float(np.mean(chosen, dtype=np.float64)), float(np.mean(log_probs.argmax(axis=1) == labels))


def _close(
    settings: ClassifyConfig,
    corpus: ClassifierCorpus,
    model: Classifier,
    params: Params,
    key: Key,
    progress: ProgressFn,
) -> Closing:
    name, train, rows = _name(settings), corpus.splits["train"], []
    bayes = fit_naive_bayes(train.tokens, train.labels, model.classes)
    frequent = most_frequent(train.labels)
    for split, texts in corpus.splits.items():
        labels, count = texts.labels, len(texts.tokens)
        log_probs = class_log_probs(model, params, texts.tokens, functools.partial(progress, f"scoring {split}"))
        rows.append(ClassificationRow(split, "largest class", count, float(np.mean(labels == frequent)), None))
        for model_name, found in (
            ("naive Bayes", naive_bayes_log_probs(bayes, texts.tokens)),
            (name, log_probs),
        ):
            loss, accuracy = _scores(found, labels)
            rows.append(ClassificationRow(split, model_name, count, accuracy, loss))
    summary = {row.split: {"accuracy": row.accuracy, "cross_entropy": row.cross_entropy} for row in rows[2::3]}
    return Closing(
        rows=tuple(rows),
        table=_table(rows),
        summary=summary,
        sample=_examples(corpus.vocabulary, corpus.splits["test"], log_probs),
        next_command="lm-jax classify predict {run} FILE",
    )


def _table(rows):
    titles = ("split", "model", "texts", "accuracy", "nats/text")
    lines = tuple(
        (
            row.split if number % 3 == 0 else "",
            row.model,
            f"{row.texts:,}",
            f"{row.accuracy:.2%}",
            "" if row.cross_entropy is None else f"{row.cross_entropy:.4f}",
        )
        for number, row in enumerate(rows)
    )
    return Table(titles, lines, words=2, sections=tuple(range(2, len(rows) - 1, 3)))


def _examples(vocabulary: LabelVocabulary, texts: LabelledTokens, log_probs: np.ndarray) -> str:
    """The first texts of a split, each after the label that the model gives it, and the right one if it is another."""
    lines = []
    for text, label, scores in zip(texts.texts[:EXAMPLES], texts.labels, log_probs, strict=False):
        found = int(scores.argmax())
        right = "" if found == label else f", not {vocabulary.labels[label]}"
        line = f"{vocabulary.labels[found]} ({np.exp(scores[found]):.0%}{right}): {text}"
        lines.append(line if len(line) <= WIDEST else line[: WIDEST - 3] + "...")
    return "\n".join(lines)


def _evaluate(
    settings: ClassifyConfig, vocabulary: LabelVocabulary, model: Classifier, params: Params, request: EvaluationRequest
) -> Classification:
    data, started = settings.data, time.perf_counter()
    source = data.data if request.data is None else request.data
    _, splits = read_splits(source, data.text_column, data.label_column, whole=request.split == "all")
    wanted = list(splits) if request.split == "all" else [request.split]
    texts = encode_split(vocabulary, [one for split in wanted for one in splits[split]], data.max_length)
    log_probs = class_log_probs(model, params, texts.tokens, request.progress)
    loss, accuracy = _scores(log_probs, texts.labels)
    right = log_probs.argmax(axis=1) == texts.labels
    present = [(number, label) for number, label in enumerate(vocabulary.labels) if (texts.labels == number).any()]
    accuracies = {label: float(right[texts.labels == number].mean()) for number, label in present}
    return Classification(len(texts.tokens), accuracy, loss, accuracies, time.perf_counter() - started)


def _name(settings: ClassifyConfig) -> str:
    model = settings.model
    directions = "bidirectional " if model.bidirectional else ""
    return f"{directions}{cell_title(_family(settings))} {model.layers}x{model.hidden_size} ({model.pooling})"


def _family(settings: ClassifyConfig) -> str:
    """Such as lstm; of a user's own cell FILE.py:NAME the last part."""
    return settings.model.cell.kind.rpartition(":")[2]


def _warm_start(settings, corpus, params, pretrained):
    if corpus.vectors is not None:
        return with_vectors(params, corpus.vectors)
    return params if pretrained is None else with_run(settings.model, corpus.vocabulary.inputs, params, pretrained)


def _check_seeds(settings: ClassifyConfig) -> None:
    if settings.init_from is not None:
        raise UserError(f"init_from is for one seed, got {settings.init_from} with several", ["init_from"])


def diagnose(model: Classifier, params: Params, carry: Carry, batch: dict[str, Any]) -> Finding | None:
    """Finds the first number inside the model that is none."""
    arrays = {name: jnp.asarray(array) for name, array in batch.items()}
    labels, mask = arrays["labels"][0], arrays["mask"]
    given = jnp.maximum(labels, 0), (labels >= 0)[None]
    return first_nonfinite_encoder(model.opened, params, arrays["tokens"], mask, *given)


CLASSIFY = Task(
    config=ClassifyConfig,
    name=_name,
    folder_name=lambda settings: f"classify-{_family(settings)}",
    family=_family,
    load=_load,
    read_vocabulary=LabelVocabulary.load,
    model=_model,
    batches=_batches,
    loss=_loss,
    diagnose=diagnose,
    validate=_validate,
    close=_close,
    evaluate=_evaluate,
    loss_label=lambda settings: "cross-entropy (nats per text)",
    telemetry=answer_telemetry(labelled_texts, label_words),
    pretrained=lambda settings: settings.init_from,
    warm_start=_warm_start,
    check_seeds=_check_seeds,
    with_absolute_paths=lambda settings: with_absolute_files(settings, ("vectors", "init_from")),
    movable=("data", "vectors", "init_from"),
    unit="texts",
    command="classify train",
    model_type="classifier",
)
