"""Every setting of a run, as frozen dataclasses: the command line's flags and a script's arguments are the same thing.

This module imports no JAX, so that `lm-jax --help` answers at once. `check` states every rule that needs no data.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import ClassVar, Literal, get_args, get_origin

from lm_jax.errors import UserError, check_rate, check_rising, check_sizes, one_of


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The text and how it becomes tokens."""

    data: str | None = None
    """A text file; a folder with train, valid and test as .txt, .csv, .json(l) or .parquet; or wikitext-2,
    wikitext-103, ptb, tiny-shakespeare. Default: the Python documentation topics that every CPython carries."""
    level: Literal["char", "byte", "word", "bpe"] = "char"
    """What a token is. Words are split at white space; every line ends with an end-of-line token."""
    text_column: str = "text"
    """The column of a table that holds the lines."""
    min_count: int = 1
    """Words rarer than this become <unk>."""
    max_vocab: int | None = None
    """Most types of a word or bpe vocabulary (bpe: 8,192 by default)."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The model."""

    model: Literal["recurrent", "window"] = "recurrent"
    """A recurrent network, or a network over the last `window` tokens."""
    window: int = 4
    """Tokens that the window model predicts from: an n-gram of order window + 1."""
    direct: bool = False
    """The window model's connection from embeddings to logits."""
    layer_norm: bool = False
    """Layer normalisation after every layer of the window model."""
    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    """The recurrent cell."""
    hidden_size: int = 256
    """Units of a layer."""
    top_size: int | None = None
    """Units of the top layer, if not hidden_size."""
    embedding_size: int = 64
    """Size of a token's embedding."""
    layers: int = 1
    """Layers of the stack."""
    connection: Literal["plain", "residual", "highway", "dense"] = "plain"
    """How the layers are connected; the window model's plain or residual."""
    tied: bool = False
    """Use the embedding as the softmax weights (needs embedding_size = hidden_size)."""
    cutoffs: tuple[int, ...] = ()
    """Rising ids, such as 2000 10000, that cut a large vocabulary into the clusters of an adaptive softmax: faster, as
    exact; with `tied` the embedding is cut too. Default: one softmax over all types."""
    cutoff_factor: int = 4
    """By which words of each further cluster have fewer numbers."""
    dropout: float = 0.0
    """Share dropped of embedded inputs, between layers and of outputs."""
    dropout_input: float | None = None
    """Of embedded inputs, if not `dropout`."""
    dropout_layer: float | None = None
    """Between layers, if not `dropout`."""
    dropout_output: float | None = None
    """Of outputs, if not `dropout`."""
    dropout_embedding: float = 0.0
    """Share of the types that are absent from a chunk."""
    weight_drop: float = 0.0
    """Share of the recurrent weights that are absent from a chunk (DropConnect)."""
    dropout_kind: Literal["elementwise", "locked"] = "elementwise"
    """Draw masks for every time step, or once for a whole chunk (variational)."""
    nonlinearity: Literal["tanh", "relu", "sigmoid", "identity"] = "tanh"
    """Of the rnn cell, and of the window model's layers."""
    gru_reset: Literal["after", "before"] = "after"
    """The gru's reset gate acts after the recurrent product (cuDNN) or before it (textbook)."""
    forget_bias: float = 1.0
    """The lstm's initial forget bias."""
    init: Literal["orthogonal", "identity", "uniform"] = "orthogonal"
    """Initial recurrent weights, per gate. "uniform" draws the input weights and biases too, as torch does."""
    init_scale: float | None = None
    """Scale of the orthogonal or identity matrix (default 1); bound of the uniform (default 1/sqrt(hidden_size))."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the operands of matrix products; carries and sums stay float32."""
    recurrence: Literal["auto", "scan", "fused", "cudnn"] = "auto"
    """How the recurrent cell runs over time: scan, the plain loop; fused, faster by a derivative written by hand, which
    cannot be differentiated again or in forward mode; auto, fused where it was measured to be faster, else scan;
    cudnn, NVIDIA's LSTM, untested."""

    def check(self) -> None:
        """Raises UserError for a setting that the chosen model does not have, unless it is at its default."""
        others = {name for model, names in SETTINGS_OF.items() if model != self.model for name in names}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in others and value != field.default:
                raise UserError(f"{field.name} must be left out with the {self.model} model, got {value!r}")


SETTINGS_OF = {
    "recurrent": ("cell", "weight_drop", "gru_reset", "forget_bias", "recurrence", "cutoffs", "cutoff_factor"),
    "window": ("window", "direct", "layer_norm"),
}


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser: a chain of clipping, a method and a learning-rate schedule."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """The method."""
    learning_rate: float = 5e-3
    """The (peak) learning rate."""
    clip: float | None = 1.0
    """Largest global norm of the gradient; longer ones are scaled to it. None: no clipping."""
    weight_decay: float = 0.0
    """Decoupled for adamw; for sgd and adam added to the gradient (L2)."""
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """cosine: warm up, then fall along a cosine to a tenth. plateau: multiply by decay_factor whenever the validation
    loss does not improve."""
    warmup_steps: int = 0
    """Steps of linear warm-up from zero, for any schedule."""
    decay_steps: int | None = None
    """The step at which the cosine ends. Default: the length of the run as first started."""
    decay_factor: float = 0.25
    """Of the plateau schedule."""
    averaging: Literal["none", "ema", "ntasgd"] = "none"
    """Evaluate and keep averaged weights: an exponential moving average, or the mean since the validation loss has
    not improved for `nonmono` validations (NT-ASGD)."""
    ema_decay: float = 0.999
    """Of the moving average."""
    nonmono: int = 5
    """Of NT-ASGD."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Train a language model."""

    family: ClassVar[str] = "neural"

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    mode: Literal["stream", "sentence"] = "stream"
    """stream: the carry runs on across lines. sentence: it is reset at every line, and lines are shuffled."""
    batch_size: int = 32
    """Parallel streams."""
    bptt: int = 64
    """Time steps of a chunk of truncated backpropagation; the carry is handed from chunk to chunk."""
    random_bptt: bool = False
    """Vary the length of chunks about bptt, the learning rate with it."""
    accumulate: int = 1
    """Parts that the streams of a batch are worked off in, for less memory; the gradient is that of all."""
    devices: int = 1
    """Devices that share the streams of a batch between them; the numbers are those of one device up to rounding."""
    vocab_shards: int = 1
    """Pieces that embedding and softmax are cut into along the vocabulary, one a device; they are taken out of
    `devices`, of which devices / vocab_shards share the streams."""
    activation_reg: float = 0.0
    """Times the mean square of outputs, added to the loss (AR)."""
    temporal_reg: float = 0.0
    """Times the mean square change of outputs from step to step, added to the loss (TAR)."""
    scheduled_sampling: float = 0.0
    """Share of inputs replaced by the model's own predictions."""
    epochs: int = 8
    """Passes over the training text."""
    steps: int | None = None
    """Length of the run in steps, instead of epochs."""
    seed: int = 0
    """Seed of initialisation, dropout and shuffling."""
    log_every: int = 100
    """Steps between reports."""
    telemetry_every: int | None = None
    """Steps between measurements of how far back the gradient reaches, such as 200. Default: none."""
    eval_every: int | None = None
    """Steps between validations. Default: once an epoch."""
    checkpoint_every: int | None = None
    """Steps between checkpoints besides the one at each validation."""
    patience: int | None = None
    """Stop after this many validations without improvement."""
    eval_streams: int = 10
    """Parallel streams that validation and test texts are cut into; perplexities compare only at equal numbers."""

    def check(self) -> None:
        """Raises UserError for a setting outside its range."""
        _check_rules(self, self.data, self.model, self.optimizer)
        self.model.check()
        for name in ("activation_reg", "temporal_reg", "telemetry_every"):  # of recurrent outputs and gradients
            if self.model.model == "window" and getattr(self, name):
                raise UserError(f"{name} must be left out with the window model, got {getattr(self, name)!r}")
        if self.batch_size % self.accumulate:
            raise UserError(f"accumulate must divide batch_size {self.batch_size}, got {self.accumulate}")
        if self.devices % self.vocab_shards:
            raise UserError(f"vocab_shards must divide devices {self.devices}, got {self.vocab_shards}")
        rows = self.devices // self.vocab_shards
        if self.batch_size // self.accumulate % rows:
            parts = f" / accumulate {self.accumulate}" if self.accumulate > 1 else ""
            shards = f" / vocab_shards {self.vocab_shards}" if self.vocab_shards > 1 else ""
            raise UserError(f"devices{shards} must divide batch_size {self.batch_size}{parts}, got {rows}")


@dataclasses.dataclass(frozen=True)
class NGramConfig:
    """Estimate an n-gram model from the counts of a text."""

    family: ClassVar[str] = "ngram"
    mode: ClassVar[str] = "stream"  # an end-of-line token leads back to the start context, so lines are alone anyway

    data: DataConfig = DataConfig()
    order: int = 5
    """Words of an n-gram: contexts have one less."""
    method: Literal[
        "modified-kneser-ney",
        "kneser-ney",
        "absolute-discounting",
        "witten-bell",
        "jelinek-mercer",
        "katz",
        "add-k",
        "stupid-backoff",
        "maximum-likelihood",
        "arpa",
    ] = "modified-kneser-ney"
    """The estimator. jelinek-mercer takes its weights from the validation text; arpa is of runs made from a file."""
    k: float = 1.0
    """Of add-k."""
    prune_counts: tuple[int, ...] = ()
    """Occurrences up to which n-grams are left out, for orders 1, 2, ..., such as 0 0 1; the last holds above too."""
    vocab_convention: Literal["own", "kenlm"] = "own"
    """kenlm: one more type that was never seen, as KenLM counts its <unk>."""
    max_memory: int | None = None
    """MiB for counting a text that is larger than memory: sorted shards go to disk. Default: no limit."""
    eval_streams: int = 10
    """Parallel streams that validation and test texts are cut into; perplexities compare only at equal numbers."""

    def check(self) -> None:
        """Raises UserError for a setting outside its range."""
        _check_rules(self, self.data)


def _check_rules(*parts):
    """Every setting of the dataclasses against its rule."""
    for part in parts:
        for field in dataclasses.fields(part):
            _check_choice(field, getattr(part, field.name))
    settings = {name: value for part in parts for name, value in vars(part).items() if value is not None}
    for name, rule in RULES.items():
        if name in settings:
            try:
                rule(name, settings[name])
            except TypeError as error:
                raise UserError(f"{name} must be a number, got {settings[name]!r}") from error


def _check_choice(field, value):
    """What a file or a script may get wrong that the command line cannot: a choice, or true and false."""
    options = get_args(field.type) if get_origin(field.type) is Literal else None
    if options is not None and value not in options:
        raise UserError(f"{field.name} must be one of {', '.join(options)}, got {value!r}")
    if field.type is bool and not isinstance(value, bool):
        raise UserError(f"{field.name} must be true or false, got {value!r}")


def _count(name, value):
    check_sizes(**{name: value})


def _number(words, holds):
    def rule(name, value):
        if not holds(value):  # also for nan
            raise UserError(f"{name} must be {words}, got {value!r}")

    return rule


_POSITIVE = _number("positive and finite", lambda x: 0 < x < math.inf)
_NOT_NEGATIVE = _number("finite and not negative", lambda x: 0 <= x < math.inf)
_SHARE = _number("between 0 and 1", lambda x: 0 <= x <= 1)

RULES = {
    **dict.fromkeys(("batch_size", "bptt", "accumulate", "epochs", "steps", "eval_streams"), _count),
    **dict.fromkeys(("devices", "vocab_shards"), _count),
    **dict.fromkeys(("log_every", "telemetry_every", "eval_every", "checkpoint_every", "patience", "nonmono"), _count),
    **dict.fromkeys(("hidden_size", "embedding_size", "top_size", "layers", "window"), _count),
    **dict.fromkeys(("min_count", "max_vocab", "order", "max_memory"), _count),
    **dict.fromkeys(("learning_rate", "clip", "init_scale", "k"), _POSITIVE),
    **dict.fromkeys(("warmup_steps", "weight_decay", "activation_reg", "temporal_reg"), _NOT_NEGATIVE),
    **dict.fromkeys(("scheduled_sampling", "ema_decay"), _SHARE),
    **dict.fromkeys(("dropout", "dropout_input", "dropout_layer", "dropout_output"), check_rate),
    **dict.fromkeys(("dropout_embedding", "weight_drop"), check_rate),
    "cutoffs": check_rising,
    "cutoff_factor": _count,
    "decay_factor": _number("between 0 and 1, both excluded", lambda x: 0 < x < 1),
    "decay_steps": _count,
    "forget_bias": _number("finite", math.isfinite),
    "seed": _number(f"a whole number from 0 to {2**31 - 1}", lambda x: 0 <= x < 2**31),
}


def to_dict(config) -> dict:
    """A configuration as nested dicts of JSON types."""
    return dataclasses.asdict(config)


def from_dict(cls, values: dict):
    """The inverse of `to_dict`; raises UserError for a name that this version does not know."""
    if not isinstance(values, dict):
        raise UserError(f"settings must be a JSON object of names and values, got {values!r}")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(f"the configuration has settings that this version does not know: {', '.join(unknown)}")
    nested = {
        n: from_dict(f.type, values[n]) for n, f in fields.items() if n in values and dataclasses.is_dataclass(f.type)
    }
    plain = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}  # JSON has no tuples
    return cls(**{**plain, **nested})


def load_config(path: Path) -> tuple[TrainConfig | NGramConfig, dict]:
    """The configuration of a run folder's config.json, and the other facts recorded beside it."""
    record = json.loads(path.read_text())
    families = {config.family: config for config in (TrainConfig, NGramConfig)}
    family = one_of("family", record.pop("family", "neural"), families)
    return from_dict(family, record.pop("config")), record


def read_settings(path: Path) -> TrainConfig:
    """A configuration from JSON: a run's config.json, or only the settings that differ from the defaults.

    Raises UserError for a file that cannot be read or a name that is no setting.
    """
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"a file of settings must be readable JSON, got {path}: {error}") from error
    if not isinstance(record, dict):
        raise UserError(f"a file of settings must hold one JSON object, got {path}")
    return from_dict(TrainConfig, record.get("config", record))
