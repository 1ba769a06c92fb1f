"""The task of speech: strings of spoken digits in noise to digits, by attention and by CTC over one encoder.

    loss = (1 - a) J_attention + a J_ctc        both in nats per target token; a: ctc_weight      Watanabe et al. 2017

Training strings are in new noise in every pass, of a signal-to-noise ratio drawn for each. Features are log-mel
energies less their mean over the string, band by band: a filter or a level that does not change is then no feature.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.tasks.spoken_digits import MOST_DIGITS, RATE, Strings, draw_strings, with_noise
from lm_jax.cells import gru
from lm_jax.config import OptimizerConfig, RunConfig, setting
from lm_jax.data.buckets import Bucketed, Buckets, in_order, lay_out
from lm_jax.data.pair_buckets import bucket_ends
from lm_jax.encoders import bidirectional
from lm_jax.inference.edit_distance import error_rate
from lm_jax.inference.translation import SearchSettings, pad_columns, translate_batch
from lm_jax.layers import product
from lm_jax.models.conditional import Conditioned, Sizes, conditional_lm, decoder_input_size
from lm_jax.models.ctc import best_path, ctc_loss
from lm_jax.models.ctc_search import prefix_beam_search
from lm_jax.models.decoder_loops import LayerParams
from lm_jax.models.log_mel import log_mel
from lm_jax.models.source_readers import frame_reader
from lm_jax.models.translator import Translator, encoder_decoder
from lm_jax.tasks import Closing, Task
from lm_jax.training import BatchSource, Score, Tally
from lm_jax.training.losses import cross_entropy
from lm_jax.training.pairs import Pairs, as_pairs


END = 0  # the end of a string, and the blank of CTC; digit d is token d + 1
BANDS, SHAPES = 32, 2
FEATURES = log_mel(RATE, bands=BANDS, lowest=100.0, highest=3800.0)
ROWS = 64  # strings whose features are computed at once
DECIBELS = (-15.0, 20.0)  # the signal-to-noise ratios of training, drawn uniformly for each string


@dataclasses.dataclass(frozen=True)
class SpeechConfig(RunConfig):
    """Settings of a recogniser of spoken digits."""

    task: ClassVar[str] = "speech"

    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=3e-3, warmup_steps=50)
    strings: int = setting(2400, "Training strings.")
    hidden_size: int = setting(64, "Units of each direction of the encoder, and of the decoder.")
    stack: int = setting(4, "Frames that are read as one.")
    ctc_weight: float = setting(0.3, "Share of CTC in the loss.")
    dropout: float = setting(0.1, "Share dropped of features, memory and readouts.")


class Speech(NamedTuple):
    """init; the translator of frames to digits; logits: the output for CTC beside it, of what it has read."""

    init: Any
    translator: Translator
    logits: Any


class SpeechParams(NamedTuple):
    """Of the translator, and of the layer for CTC over its memory."""

    translator: Any
    ctc: LayerParams


class SpeechData(NamedTuple):
    """Strings to train on; strings to validate on, with features in their noise."""

    train: Strings
    valid: Strings
    frames: list[np.ndarray]
    sha256: str
    vocabulary: None = None
    source: str = "spoken digits"
    phrases: tuple[str, ...] = ()

    @property
    def record(self):
        """JSON values of the run folder."""
        return {"source": self.source, "sha256": self.sha256}


@jax.jit
def extract(signals, mask):
    """Features [S, B, M] of signals [N, B], less their mean over the real frames, mask [S, B]."""
    frames = FEATURES.extract(signals)[: len(mask)]
    real = mask[..., None]
    mean = jnp.sum(jnp.where(real, frames, 0), axis=0) / jnp.maximum(jnp.sum(real, axis=0), 1)
    return jnp.where(real, frames - mean, 0) / 2


def features(signals: Sequence[np.ndarray], decibels: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """The features [S_n, M] of signals, each in noise of its own."""
    lengths = np.array([FEATURES.frames(len(signal)) for signal in signals])
    batches, found = in_order(lengths, ROWS), {}
    for rows, length in zip(batches.rows, batches.lengths, strict=True):
        columns = np.zeros((FEATURES.frame + (length - 1) * FEATURES.hop, len(rows)), np.float32)
        for column, row in enumerate(rows):
            if row >= 0:
                noisy = with_noise(signals[row], decibels[row], rng)
                columns[: len(noisy), column] = noisy[: len(columns)]
        mask = np.arange(length)[:, None] < np.where(rows >= 0, lengths[rows], 0)
        frames = np.asarray(extract(columns, mask))
        found |= {row: frames[: lengths[row], column] for column, row in enumerate(rows) if row >= 0}
    return [found[row] for row in range(len(signals))]


def load(settings, saved):
    """The strings that are trained on and validated on; those of validation are the same in every run."""
    train, valid = draw_strings(settings.strings, 1000 + settings.seed), draw_strings(max(8, settings.strings // 12), 1)
    rng = np.random.default_rng(2)
    frames = features(valid.signals, rng.uniform(*DECIBELS, len(valid.signals)), rng)
    return SpeechData(train, valid, frames, f"{settings.strings} strings, seed {settings.seed}")


def model(settings, vocabulary):
    """One bidirectional layer over stacked frames, and both outputs."""
    reader, units = frame_reader(BANDS, settings.stack), settings.hidden_size
    encoder = bidirectional(*[gru(reader.output_size, units)] * 2)
    sizes = Sizes(16, encoder.output_size, units)
    rates = {"dropout_rate": settings.dropout}
    cell = gru(decoder_input_size("additive", sizes), units)
    decoder = conditional_lm(11, cell, sizes.memory, embedding_size=sizes.embedding, forward_size=units, **rates)
    return with_ctc(encoder_decoder(reader, encoder, decoder, **rates), sizes.memory)


@functools.cache
def with_ctc(translator, memory_size):
    """A translator with an output for CTC over its memory; the same for the same translator."""

    def init(key):
        key, key_w = jax.random.split(key)
        w = jax.nn.initializers.lecun_normal()(key_w, (memory_size, translator.vocab_size))
        return SpeechParams(translator.init(key), LayerParams(w, jnp.zeros(translator.vocab_size)))

    def logits(params, conditioned):
        return product(conditioned.memory, params.ctc.w) + params.ctc.b

    return Speech(init, translator, logits)


def targets_of(strings: Strings) -> list[np.ndarray]:
    """The strings as tokens, with their ends."""
    return [np.append(digits + 1, END) for digits in strings.digits]


def batches(settings, data, model):
    """Batches of strings of like length; each pass hears them in new noise."""
    signals, targets = data.train.signals, targets_of(data.train)
    lengths = np.array([FEATURES.frames(len(signal)) for signal in signals])
    ends = np.asarray(bucket_ends(lengths, SHAPES))
    buckets = Buckets(lengths, settings.batch_size, settings.seed, lambda some: ends[np.searchsorted(ends, some)])

    def epoch(number):
        bucketed, rng = buckets.epoch(number), np.random.default_rng((settings.seed, number))
        frames = features(signals, rng.uniform(*DECIBELS, len(signals)), rng)
        real = lay_out(bucketed, [np.zeros(length, int) for length in lengths])
        return lay_out_frames(bucketed, frames), real, lay_out(bucketed, targets)

    def batch(params, epoch, carry, start, length):
        frames, real, target = (jax.lax.dynamic_slice_in_dim(array, start, length) for array in epoch)
        return carry, as_batch(jnp.moveaxis(frames, 1, -1), real >= 0, target[: MOST_DIGITS + 1])

    return BatchSource(
        buckets.steps_per_epoch, epoch, batch, buckets.chunk_lengths, None, targets_per_epoch=sum(map(len, targets))
    )


def lay_out_frames(bucketed: Bucketed, frames: Sequence[np.ndarray]) -> np.ndarray:
    """The frames of a pass, float32 [sum of the lengths, M, B]."""
    found = np.zeros((int(bucketed.lengths.sum()), BANDS, bucketed.rows.shape[1]), np.float32)
    starts = np.cumsum(bucketed.lengths) - bucketed.lengths
    for start, rows in zip(starts, bucketed.rows, strict=True):
        for column, row in enumerate(rows):
            if row >= 0:
                found[start : start + len(frames[row]), :, column] = frames[row]
    return found


def as_batch(frames, mask, target) -> Pairs:
    """Frames [S, B, M], their mask and targets [T, B] (-1 pads) as a batch."""
    return as_pairs(target, 0, END)._replace(source=frames, source_mask=mask)


def loss(settings, model):
    """The loss of the module; a string that does not fit its steps gives nothing to CTC."""
    decoder, weight = model.translator.decoder, settings.ctc_weight
    of_attention = cross_entropy(decoder)

    def joint(params, carry, batch, key, whole=None):
        key_source, key = jax.random.split(key)
        conditioned = model.translator.condition(
            params.translator, batch.source, mask=batch.source_mask, key=key_source
        )
        start = decoder.initial_carry(conditioned, batch.source_mask.shape[1:])
        _, (_, tally) = of_attention(conditioned, start, batch.target, key)
        ids, real = batch.target.targets, batch.target.mask
        nats = ctc_loss(
            model.logits(params, conditioned), ids, mask=conditioned.mask, label_mask=real & (ids != END), blank_id=END
        )
        nll = (1 - weight) * tally.nll + weight * jnp.sum(jnp.where(jnp.isfinite(nats), nats, 0.0))
        return nll / jnp.maximum(jnp.sum((whole or batch).target.mask), 1), (carry, Tally(nll, tally.tokens))

    return joint


class Recogniser(NamedTuple):
    """A model with its parameters, asked for the digits of sources: frames [S_n, M]."""

    model: Speech
    params: SpeechParams

    def by_attention(self, sources: Sequence[np.ndarray], beam_size: int) -> list[list[int]]:
        """By the decoder with attention."""
        search = SearchSettings(beam_size, 0.0)
        found = translate_batch(self.model.translator, self.params.translator, sources, END, search)
        return [[int(token) - 1 for token in one[0].tokens] for one in found]

    def by_ctc(self, sources: Sequence[np.ndarray], beam_size: int | None = None) -> list[list[int]]:
        """By CTC: the best path, or with a beam size the best string."""
        found = {}
        for rows in in_order(np.array([len(source) for source in sources]), ROWS).rows:
            frames, mask = pad_columns(rows, sources)
            labels, lengths = _ctc_search(self.model, beam_size)(self.params, frames, mask)
            digits = np.asarray(labels) - 1
            found |= {row: digits[: lengths[k], k].tolist() for k, row in enumerate(rows) if row >= 0}
        return [found[row] for row in range(len(sources))]


@functools.cache
def _ctc_search(model, beam_size):
    @jax.jit
    def search(params, frames, mask):
        conditioned: Conditioned = model.translator.condition(params.translator, frames, mask=mask)
        logits = model.logits(params, conditioned)
        if beam_size is None:
            return best_path(logits, conditioned.mask, blank_id=END)
        best = prefix_beam_search(
            logits, conditioned.mask, beam_size=beam_size, most_labels=2 * MOST_DIGITS, blank_id=END
        )
        return best.labels[0], best.lengths[0]

    return search


def validate(settings, data, model, params, progress):
    """The digit error rates of both outputs, without beams; the best step has the least mean."""
    asked = Recogniser(model, params)
    errors = {
        "attention": error_rate(data.valid.digits, asked.by_attention(data.frames, 1)),
        "ctc": error_rate(data.valid.digits, asked.by_ctc(data.frames)),
    }
    words = ", ".join(f"{name} {error:.1%}" for name, error in errors.items())
    return Score(sum(errors.values()) / 2, errors, f"digit error rate: {words}")


def close(settings, data, model, params, key, progress):
    """The same at the end."""
    score = validate(settings, data, model, params, progress)
    return Closing(summary={"valid": score.metrics}, sample=score.words)


def evaluate(settings, vocabulary, model, params, request):
    """The same of a finished run."""
    return validate(settings, load(settings, None), model, params, request.progress).metrics


SPEECH = Task(
    SpeechConfig,
    name=lambda settings: f"GRU 1x{settings.hidden_size}, additive attention and CTC",
    folder_name=lambda settings: "speech",
    family=lambda settings: "gru",
    load=load,
    model=model,
    batches=batches,
    loss=loss,
    validate=validate,
    close=close,
    evaluate=evaluate,
    loss_label=lambda settings: "loss (nats per target token); valid: digit error rate",
    model_type="recogniser of speech",
)
