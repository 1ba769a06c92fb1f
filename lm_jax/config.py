"""Every setting of a run, as frozen dataclasses: the command line's flags and a script's arguments are the same thing.

This module imports no JAX, so that `lm-jax --help` answers at once. `check` states every rule that needs no data.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

from lm_jax.errors import UserError, check_rate, check_sizes


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The text and how it becomes tokens."""

    data: str | None = None
    """A text file, or a folder with train.txt, valid.txt and test.txt. Default: the Python documentation topics that
    every CPython carries."""
    level: Literal["char", "byte", "word"] = "char"
    """What a token is. Words are split at white space; every line ends with an end-of-line token."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The model."""

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    """The recurrent cell."""
    hidden_size: int = 256
    """Units of a layer."""
    embedding_size: int = 64
    """Size of a token's embedding."""
    layers: int = 1
    """Layers of the stack."""
    connection: Literal["plain", "residual", "highway", "dense"] = "plain"
    """How the layers are connected."""
    tied: bool = False
    """Use the embedding as the softmax weights (needs embedding_size = hidden_size)."""
    dropout: float = 0.0
    """Share dropped of embeddings, between layers and of outputs."""
    dropout_kind: Literal["elementwise", "locked"] = "elementwise"
    """Draw masks for every time step, or once for a whole chunk (variational)."""
    nonlinearity: Literal["tanh", "relu", "sigmoid", "identity"] = "tanh"
    """Of the rnn cell."""
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


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser: a chain of clipping, a method and a learning-rate schedule."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """The method."""
    learning_rate: float = 5e-3
    """The (peak) learning rate."""
    clip: float | None = 1.0
    """Largest global norm of the gradient; longer ones are scaled to it. None: no clipping."""
    weight_decay: float = 0.01
    """Of adamw only."""
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """cosine: warm up, then fall along a cosine to a tenth. plateau: multiply by decay_factor whenever the validation
    loss does not improve."""
    warmup_steps: int = 0
    """Steps of linear warm-up from zero, for any schedule."""
    decay_steps: int | None = None
    """The step at which the cosine ends. Default: the length of the run as first started."""
    decay_factor: float = 0.25
    """Of the plateau schedule."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Train a language model."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    mode: Literal["stream", "sentence"] = "stream"
    """stream: the carry runs on across lines. sentence: it is reset at every line, and lines are shuffled."""
    batch_size: int = 32
    """Parallel streams."""
    bptt: int = 64
    """Time steps of a chunk of truncated backpropagation; the carry is handed from chunk to chunk."""
    epochs: int = 8
    """Passes over the training text."""
    steps: int | None = None
    """Length of the run in steps, instead of epochs."""
    seed: int = 0
    """Seed of initialisation, dropout and shuffling."""
    log_every: int = 100
    """Steps between reports."""
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
        m, o = self.model, self.optimizer
        check_sizes(
            batch_size=self.batch_size,
            bptt=self.bptt,
            epochs=self.epochs,
            log_every=self.log_every,
            eval_streams=self.eval_streams,
            hidden_size=m.hidden_size,
            embedding_size=m.embedding_size,
            layers=m.layers,
        )
        for name in ("steps", "eval_every", "checkpoint_every", "patience"):
            if getattr(self, name) is not None:
                check_sizes(**{name: getattr(self, name)})
        check_rate("dropout", m.dropout)
        for name, value in (("learning_rate", o.learning_rate), ("clip", o.clip), ("init_scale", m.init_scale)):
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"{name} must be positive and finite, got {value!r}")
        if not 0 < o.decay_factor < 1:
            raise UserError(f"decay_factor must be between 0 and 1, got {o.decay_factor!r}")
        if o.warmup_steps < 0 or o.weight_decay < 0:
            raise UserError(
                f"warmup_steps and weight_decay must not be negative, got {o.warmup_steps} and {o.weight_decay}"
            )
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed must be a whole number from 0 to {2**31 - 1}, got {self.seed!r}")


def to_dict(config) -> dict:
    """A configuration as nested dicts of JSON types."""
    return dataclasses.asdict(config)


def from_dict(cls, values: dict):
    """The inverse of `to_dict`; raises UserError for a name that this version does not know."""
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(f"the configuration has settings that this version does not know: {', '.join(unknown)}")
    nested = {n: from_dict(f.type, values[n]) for n, f in fields.items() if n in values and _is_config(f.type)}
    return cls(**{**values, **nested})


def _is_config(kind) -> bool:
    return dataclasses.is_dataclass(kind)


def load_config(path: Path) -> tuple[TrainConfig, dict]:
    """The configuration of a run folder's config.json, and the other facts recorded beside it."""
    record = json.loads(path.read_text())
    return from_dict(TrainConfig, record.pop("config")), record
