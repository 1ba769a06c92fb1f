"""The task of a translator."""

import functools
import time
from typing import Any, NamedTuple

import jax.numpy as jnp

from lm_jax.analysis.first_nonfinite_encoder import first_nonfinite_encoder
from lm_jax.config import TranslateConfig, cell_title
from lm_jax.data.pair_buckets import PairBuckets
from lm_jax.data.parallel import (
    PairTokens,
    ParallelCorpus,
    build_parallel_vocabulary,
    encode_pairs,
    fingerprint,
    read_pairs,
)
from lm_jax.data.parallel_vocabulary import ParallelVocabulary
from lm_jax.inference.copying import write
from lm_jax.inference.translation import SearchSettings, pair_log_probs, translate_batch
from lm_jax.inference.translation_scores import TranslationScores, score_translations
from lm_jax.models.build import build_translator
from lm_jax.models.translator import TeacherForced, Translator
from lm_jax.report.html import fragment, table_html
from lm_jax.report.rows import Rows
from lm_jax.report.table import Table
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks.answer_telemetry import answer_telemetry
from lm_jax.tasks.asked_sentences import translated_sentences, translation_words
from lm_jax.tasks.base import Closing, EvaluationRequest, ProgressFn, SavedData, Task
from lm_jax.tasks.paths import with_absolute_files
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.diagnosis import Finding
from lm_jax.training.listener import Score
from lm_jax.training.losses import LossFn
from lm_jax.training.pairs import pair_source, translation_loss
from lm_jax.types import Carry, Key, Params


VALIDATED = 300  # pairs of the validation data that are translated, greedily, at each validation
EXAMPLES = 3  # pairs of the test data to look at, beside their translations
GREEDY = SearchSettings(beam_size=1)


class TranslationRow(NamedTuple):
    """Scores of one search on one split. cross_entropy in nats per target token; bleu, chrf: None without the extra."""

    split: str
    search: str
    pairs: int
    cross_entropy: float
    exact: float
    bleu: float | None
    chrf: float | None


@shortly_shown
class TranslationEvaluation(NamedTuple):
    """Scores of pairs. cross_entropy in nats per target token; signature: how BLEU and chrF were computed."""

    pairs: int
    cross_entropy: float
    exact: float
    bleu: float | None
    chrf: float | None
    signature: str
    seconds: float

    def _repr_html_(self) -> str:
        return fragment(type(self).__name__, table_html(Rows([self]).table()))

    @property
    def words(self) -> str:
        """The scores in a line, and in another how they were computed."""
        scores = TranslationScores(self.exact, self.bleu, self.chrf).words
        line = f"{self.pairs:,} pairs: cross-entropy {self.cross_entropy:.4f} nats per token, {scores}"
        return "\n".join(filter(None, (f"{line}, {self.seconds:.1f} s", self.signature)))


def search_settings(settings: TranslateConfig) -> SearchSettings:
    """Returns how the settings of a run search."""
    return SearchSettings(settings.beam_size, settings.length_penalty, settings.coverage_penalty)


def _load(settings: TranslateConfig, saved: SavedData | None) -> ParallelCorpus:
    data = settings.data
    source, splits = read_pairs(data.data, data.source, data.target)
    sha256 = fingerprint(splits)
    if saved is None:
        vocabulary = build_parallel_vocabulary(
            splits, data.level, data.tokenizer, data.lower, data.min_count, data.max_vocab
        )
    else:
        saved.check_same(source, sha256)
        vocabulary = saved.vocabulary
    encoded = {split: encode_pairs(vocabulary, pairs, data.max_length) for split, pairs in splits.items()}
    return ParallelCorpus(source, sha256, vocabulary, encoded, _buckets(settings, encoded["train"]).padding)


def _buckets(settings: TranslateConfig, train: PairTokens) -> PairBuckets:
    return PairBuckets(train.source_lengths, train.target_lengths, settings.batch_size, settings.seed)


def _model(settings: TranslateConfig, vocabulary: ParallelVocabulary) -> Translator:
    model = build_translator(settings.model, len(vocabulary.source), len(vocabulary.target), vocabulary.unk_id)
    search_settings(settings).check(model)
    return model


def _batches(settings: TranslateConfig, corpus: ParallelCorpus, model: Translator) -> BatchSource:
    train = corpus.splits["train"]
    return pair_source(_buckets(settings, train), train.sources, train.targets, corpus.vocabulary.target.eol_id)


def _loss(settings: TranslateConfig, model: Translator) -> LossFn:
    return translation_loss(model, settings.label_smoothing, settings.scheduled_sampling)


class Reader(NamedTuple):
    """A translator with its parameters and vocabularies: what scores and translates pairs."""

    model: Translator
    params: Params
    vocabulary: ParallelVocabulary

    def cross_entropy(self, pairs: PairTokens, progress=None) -> float:
        """Nats per token of the targets."""
        eol_id = self.vocabulary.target.eol_id
        sums = pair_log_probs(self.model, self.params, pairs.sources, pairs.targets, eol_id, progress)
        return -float(sums.sum()) / int(pairs.target_lengths.sum())

    def translations(self, pairs: PairTokens, search: SearchSettings, progress=None) -> list[str]:
        """Returns the best translation of each source.

        Args:
            pairs: The pairs of a split.
            search: How translations are searched for.
            progress: Called with (batches done, batches in all).
        """
        eol_id = self.vocabulary.target.eol_id
        found = translate_batch(self.model, self.params, pairs.sources, eol_id, search, progress)
        texts = zip(pairs.pairs, found, strict=True)
        return [write(self.model, self.params, self.vocabulary, pair.source, one[0].tokens) for pair, one in texts]

    def score(self, pairs: PairTokens, found: list[str]) -> TranslationScores:
        """Scores translations, in lower case where the model writes that."""
        return score_translations(found, [pair.target for pair in pairs.pairs], self.vocabulary.lower)


def _validate(
    settings: TranslateConfig, corpus: ParallelCorpus, model: Translator, params: Params, progress: ProgressFn
) -> Score:
    valid, reader = corpus.splits["valid"], Reader(model, params, corpus.vocabulary)
    loss = reader.cross_entropy(valid, functools.partial(progress, "validating"))
    some = PairTokens(valid.sources[:VALIDATED], valid.targets[:VALIDATED], valid.pairs[:VALIDATED])
    scores = reader.score(some, reader.translations(some, GREEDY, functools.partial(progress, "translating")))
    metrics = {"valid_exact": scores.exact} | ({} if scores.bleu is None else {"valid_bleu": scores.bleu})
    return Score(loss, metrics, f"{scores.words} (greedy)")


def _close(
    settings: TranslateConfig,
    corpus: ParallelCorpus,
    model: Translator,
    params: Params,
    key: Key,
    progress: ProgressFn,
) -> Closing:
    reader, search = Reader(model, params, corpus.vocabulary), search_settings(settings)
    rows, summary, signature, sample = [], {}, "", ""
    for split in ("valid", "test"):
        pairs = corpus.splits[split]
        loss = reader.cross_entropy(pairs, functools.partial(progress, f"scoring {split}"))
        for name, how in (("greedy", GREEDY), (f"beam {search.beam_size}", search)):
            found = reader.translations(pairs, how, functools.partial(progress, f"translating {split}, {name}"))
            scores = reader.score(pairs, found)
            signature = scores.signature
            rows.append(TranslationRow(split, name, len(found), loss, scores.exact, scores.bleu, scores.chrf))
            sample = _examples(pairs, found)
        last = rows[-1]
        measures = {"cross_entropy": loss, "exact": last.exact, "bleu": last.bleu, "chrf": last.chrf}
        summary[split] = {name: value for name, value in measures.items() if value is not None}
    return Closing(
        rows=tuple(rows),
        table=_table(rows),
        summary=summary,
        sample=sample,
        remarks=(signature,) if signature else (),
        record={"signature": signature},
        next_command="lm-jax translate predict {run} FILE",
    )


def _table(rows):
    titles = ("split", "search", "pairs", "nats/token", "exact", "BLEU", "chrF")
    lines = tuple(
        (
            row.split if number % 2 == 0 else "",
            row.search,
            f"{row.pairs:,}",
            f"{row.cross_entropy:.4f}",
            f"{row.exact:.2%}",
            "" if row.bleu is None else f"{row.bleu:.2f}",
            "" if row.chrf is None else f"{row.chrf:.2f}",
        )
        for number, row in enumerate(rows)
    )
    return Table(titles, lines, words=2, sections=(1,), drop=("pairs", "nats/token"))


def _examples(pairs: PairTokens, found: list[str]) -> str:
    """The first sources of a split, each beside its translation, and the right one if it is another."""
    lines = []
    for pair, text in zip(pairs.pairs[:EXAMPLES], found, strict=False):
        lines.append(f"{pair.source} -> {text}" + ("" if text == pair.target else f" (reference: {pair.target})"))
    return "\n".join(lines)


def _evaluate(
    settings: TranslateConfig,
    vocabulary: ParallelVocabulary,
    model: Translator,
    params: Params,
    request: EvaluationRequest,
) -> TranslationEvaluation:
    data, started = settings.data, time.perf_counter()
    source = data.data if request.data is None else request.data
    _, splits = read_pairs(source, data.source, data.target, whole=request.split == "all")
    wanted = list(splits) if request.split == "all" else [request.split]
    pairs = encode_pairs(vocabulary, [one for split in wanted for one in splits[split]], data.max_length)
    reader = Reader(model, params, vocabulary)
    found = reader.translations(pairs, search_settings(settings), request.progress)
    scores, loss = reader.score(pairs, found), reader.cross_entropy(pairs)
    return TranslationEvaluation(len(found), loss, *scores, seconds=time.perf_counter() - started)


def _name(settings: TranslateConfig) -> str:
    model = settings.model
    form = "no attention" if model.attention == "plain" else f"{model.attention} attention"
    return f"{cell_title(_family(settings))} {model.layers}x{model.hidden_size}, {form}"


def _family(settings: TranslateConfig) -> str:
    """Such as lstm; of a user's own cell FILE.py:NAME the last part."""
    return settings.model.cell.kind.rpartition(":")[2]


def diagnose(model: Translator, params: Params, carry: Carry, batch: dict[str, Any]) -> Finding | None:
    """Finds the first number inside the model that is none."""
    arrays = {name: jnp.asarray(array) for name, array in batch.items()}
    target = TeacherForced(*(arrays[f"target.{name}"] for name in ("inputs", "targets", "mask")))
    return first_nonfinite_encoder(model.opened, params, arrays["source"], arrays["source_mask"], target, target.mask)


TRANSLATE = Task(
    config=TranslateConfig,
    name=_name,
    folder_name=lambda settings: f"translate-{_family(settings)}",
    family=_family,
    load=_load,
    read_vocabulary=ParallelVocabulary.load,
    model=_model,
    batches=_batches,
    loss=_loss,
    diagnose=diagnose,
    validate=_validate,
    close=_close,
    evaluate=_evaluate,
    loss_label=lambda settings: "cross-entropy (nats per target token)",
    telemetry=answer_telemetry(translated_sentences, translation_words),
    with_absolute_paths=with_absolute_files,
    movable=("data",),
    unit="target tokens",
    command="translate train",
    model_type="translator",
)
