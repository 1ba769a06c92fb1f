"""Functions of every task that trains a language model by steps: text in chunks, cross-entropy, perplexity."""

import dataclasses
import functools
import math
import time
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lm_jax.analysis.first_nonfinite import first_nonfinite
from lm_jax.config import TrainConfig
from lm_jax.config.text_defaults import UNCHOSEN, fill_in, text_defaults
from lm_jax.data.batching import Batches
from lm_jax.data.corpora import Corpus, bits_per, load_corpus, unknown_rate
from lm_jax.data.texts import as_bytes, load_split, open_texts
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError
from lm_jax.inference.generation import generate
from lm_jax.inference.likelihood import likelihood
from lm_jax.inference.sampling import Sampler
from lm_jax.models.build import from_config
from lm_jax.models.language_model import LanguageModel
from lm_jax.report.figures import UNITS
from lm_jax.report.html import fragment, table_html
from lm_jax.report.numbers import short
from lm_jax.report.rows import Rows
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks.base import Closing, EvaluationRequest, Pretrained, ProgressFn, SavedData, Task
from lm_jax.tasks.begin_from import begin_from, with_weights
from lm_jax.tasks.closing_table import TextReading, model_scorer
from lm_jax.tasks.device_tokens import device_tokens
from lm_jax.tasks.sampled_inputs import with_sampled_inputs
from lm_jax.tasks.text_closing import closing
from lm_jax.tasks.text_paths import with_absolute_paths, with_data
from lm_jax.tasks.weight_files import read_weight_file
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.chunks import text_source
from lm_jax.training.diagnosis import Finding
from lm_jax.training.listener import Column, Score
from lm_jax.training.losses import LossFn, cross_entropy
from lm_jax.types import Carry, Key, Params


SAMPLE_TOKENS = {"char": 160, "byte": 160, "word": 40, "bpe": 60}
NO_PROMPT = np.zeros(0, np.int32)
LARGEST_EXPONENT = 700.0  # a perplexity above e^700 is written as that: JSON knows no infinity


@shortly_shown
class Evaluation(NamedTuple):
    """Scores of a text. cross_entropy in nats per token; unk_rate: the share of unknown tokens; eval_streams: the
    parallel streams that it was cut into."""

    tokens: int
    cross_entropy: float
    perplexity: float
    bits_per_character: float
    bits_per_byte: float
    unk_rate: float
    eval_streams: int
    seconds: float

    def _repr_html_(self) -> str:
        return fragment(type(self).__name__, table_html(Rows([self]).table()))

    @property
    def words(self) -> str:
        """The scores in a line."""
        return (
            f"{self.tokens:,} tokens: cross-entropy {self.cross_entropy:.4f} nats per token, "
            f"perplexity {self.perplexity:.3f}, {self.bits_per_character:.4f} bits per character, "
            f"{self.bits_per_byte:.4f} bits per byte, "
            f"unknown {self.unk_rate:.2%}, {self.eval_streams} streams, {self.seconds:.1f} s"
        )


def reading_of(settings: Any, vocabulary: Vocabulary) -> TextReading:
    """Returns how the texts of a run are read."""
    return TextReading(vocabulary.eol_id, settings.eval_streams, settings.mode)


def load(settings: Any, saved: SavedData | None) -> Corpus:
    """Loads the text of a run; of a resumed one with its vocabulary, and only if it is still the same text."""
    options = dataclasses.asdict(settings.data)
    if saved is None:
        return load_corpus(**options)
    texts = open_texts(settings.data.data, settings.data.level, settings.data.text_column)
    saved.check_same(texts.source, texts.sha256)
    corpus = load_corpus(**options, vocabulary=saved.vocabulary, texts=texts)
    return dataclasses.replace(corpus, origin=saved.phrase)


def read_weights(settings: Any) -> Pretrained:
    """Reads the file of weights that a run begins with."""
    nonlinearity = getattr(getattr(settings.model, "cell", None), "nonlinearity", "tanh")
    return read_weight_file(settings.init_from, settings.vocabulary, nonlinearity)


def warm_start(settings: Any, corpus: Corpus, params: Params, pretrained: Pretrained | None) -> Params:
    """Returns the parameters that a run begins with: random ones, or those of another model."""
    return params if pretrained is None else with_weights(params, pretrained)


def choose(settings: Any, corpus: Corpus, rate: float = 1.0) -> tuple[Any, dict[str, Any]]:
    """Fills in the settings that level and size of the text choose. rate: a factor of the learning rate."""
    cell = getattr(getattr(getattr(settings, "model", None), "cell", None), "kind", None)  # n-grams have no model
    defaults = text_defaults(corpus.vocabulary.level, len(corpus.train), cell=cell)
    defaults = defaults._replace(learning_rate=rate * defaults.learning_rate)
    filled, chosen = fill_in(settings, defaults._replace(min_count=corpus.min_count)._asdict())
    if corpus.vocabulary.level != "word":
        chosen.pop("min_count", None)  # of which there is no choice then
    return filled, chosen


def model(settings: Any, vocabulary: Vocabulary) -> LanguageModel:
    """Builds the language model that the settings describe."""
    return from_config(settings.model, len(vocabulary))


def batches(settings: Any, corpus: Corpus, model: LanguageModel) -> BatchSource:
    """Makes the chunks of the training text."""
    text = Batches(
        tokens=corpus.train,
        eol_id=corpus.vocabulary.eol_id,
        batch_size=settings.batch_size,
        bptt=settings.bptt or UNCHOSEN.bptt,
        mode=settings.mode,
        seed=settings.seed,
        random_bptt=settings.random_bptt,
    )
    return text_source(text, model, device_tokens(settings, text))


def loss(settings: Any, model: LanguageModel) -> LossFn:
    """Makes the cross-entropy, with scheduled sampling where it is asked for."""
    return with_sampled_inputs(cross_entropy(model), settings, model)


def metrics(loss: float) -> dict[str, float]:
    """Returns the perplexity of a mean loss."""
    return {"perplexity": _perplexity(loss)}


def columns(corpus: Corpus) -> tuple[Column, ...]:
    """Returns the columns of perplexity and bits per byte."""
    bytes_per_token = corpus.bytes["train"] / len(corpus.train)

    def bits_per_byte(report):
        return f"{report.loss / math.log(2) / bytes_per_token:.3f}"

    return Column("ppl", 9, lambda report: short(report.metrics["perplexity"])), Column("bits/B", 6, bits_per_byte)


def loss_label(settings: Any) -> str:
    """Names the loss with its unit."""
    return f"cross-entropy (nats per {UNITS[settings.data.level]})"


def validate(settings: Any, corpus: Corpus, model: LanguageModel, params: Params, progress: ProgressFn) -> Score:
    """Scores the validation text."""
    reading = reading_of(settings, corpus.vocabulary)
    loss = likelihood(
        model,
        params,
        corpus.valid,
        reading.eol_id,
        eval_streams=reading.streams,
        mode=reading.mode,
        progress=functools.partial(progress, "validating"),
    ).cross_entropy
    per_byte = corpus.bits_per_byte("valid", loss)
    unknown = unknown_rate(corpus.vocabulary, corpus.valid)
    words = (
        f"perplexity {short(_perplexity(loss))}, {loss / math.log(2):.3f} bits per {settings.data.level}, "
        f"{per_byte:.3f} per byte, {unknown:.2%} unknown"
    )
    return Score(loss, {"valid_perplexity": _perplexity(loss), "bits_per_byte": per_byte, "unk_rate": unknown}, words)


def _perplexity(loss):
    return math.exp(min(loss, LARGEST_EXPONENT))


def sample(settings: Any, vocabulary: Vocabulary, model: LanguageModel, params: Params, key: Key) -> str:
    """Generates some lines at temperature 0.8."""
    count = SAMPLE_TOKENS[vocabulary.level]
    tokens = generate(model, params, NO_PROMPT, count, key, eol_id=vocabulary.eol_id, sampler=Sampler(temperature=0.8))
    return vocabulary.decode(tokens[:, 0]).strip("\n")


def close(
    settings: Any, corpus: Corpus, model: LanguageModel, params: Params, key: Key, progress: ProgressFn, name: str
) -> Closing:
    """Scores the model, called `name`, beside n-gram models of the training text, and draws a sample."""
    reading = reading_of(settings, corpus.vocabulary)
    scorers = {name: model_scorer(model, params, reading, progress)}
    return closing(corpus, reading, scorers, sample(settings, corpus.vocabulary, model, params, key), name)


def evaluate(
    settings: Any, vocabulary: Vocabulary, model: LanguageModel, params: Params, request: EvaluationRequest
) -> Evaluation:
    """Scores one split of a text; a text of bytes has a byte for a character."""
    source = settings.data.data if request.data is None else request.data
    text = load_split(source, vocabulary.level, settings.data.text_column, request.split)
    started = time.perf_counter()
    tokens = vocabulary.encode(text)
    reading = reading_of(settings, vocabulary)
    options = {"eval_streams": reading.streams, "mode": reading.mode, "progress": request.progress}
    result = likelihood(model, params, tokens, reading.eol_id, **options)
    return Evaluation(
        tokens=result.tokens,
        cross_entropy=result.cross_entropy,
        perplexity=result.perplexity,
        bits_per_character=bits_per(len(text), result.cross_entropy, result.tokens),
        bits_per_byte=bits_per(len(as_bytes(text)), result.cross_entropy, result.tokens),
        unk_rate=unknown_rate(vocabulary, tokens),
        eval_streams=min(reading.streams, result.tokens),
        seconds=time.perf_counter() - started,
    )


def diagnose(model: LanguageModel, params: Params, carry: Carry, batch: dict[str, Any]) -> Finding | None:
    """Finds the first number inside the model that is none, along the chunks of a batch."""
    arrays = {name: jnp.asarray(batch[name]) for name in ("inputs", "targets", "mask")}
    reset = batch.get("reset")
    return first_nonfinite(model, params, carry, **arrays, reset=None if reset is None else jnp.asarray(reset))


def check_seeds(settings: Any) -> None:
    """Raises UserError for lengths of chunks that are drawn, which every seed has its own of, and given weights."""
    if settings.init_from is not None:
        raise UserError(f"init_from is for one seed, got {settings.init_from} with several", ["init_from"])
    if settings.random_bptt:
        raise UserError(f"random_bptt must be left out with several seeds, got {settings.random_bptt}", ["random_bptt"])


# what the tasks of language models that train by steps share
language_model_task = functools.partial(
    Task,
    config=TrainConfig,
    load=load,
    choose=choose,
    read_vocabulary=Vocabulary.load,
    model=model,
    batches=batches,
    validate=validate,
    sample=sample,
    evaluate=evaluate,
    metrics=metrics,
    columns=columns,
    loss_label=loss_label,
    required_mode=lambda settings: settings.mode,
    with_absolute_paths=with_absolute_paths,
    movable=("data",),
    pretrained=lambda settings: settings.init_from,
    read_weights=read_weights,
    begin=begin_from,
    warm_start=warm_start,
    stream=lambda corpus: corpus.stream,
    with_data=with_data,
    diagnose=diagnose,
    unit="tokens",
)
