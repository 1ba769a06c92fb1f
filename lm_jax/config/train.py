"""Settings of runs that are trained by steps."""

import dataclasses
from typing import Any, ClassVar, Literal

from lm_jax.config.data import DataConfig
from lm_jax.config.kinds import choice_of, coerce_kinds
from lm_jax.config.models import MODELS
from lm_jax.config.optimizer import OptimizerConfig
from lm_jax.config.settings import check, count, seed, setting, share
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Settings of every run that is trained by steps, whatever its task; a task's own are a subclass with `task`."""

    task: ClassVar[str]

    optimizer: OptimizerConfig = OptimizerConfig()
    batch_size: int = setting(32, "Rows of a batch: for a stream of text, parallel streams.", rule=count)
    accumulate: int = setting(
        1,
        "Parts that the rows of a batch are worked off in, for less memory; the gradient is that of all.",
        rule=count,
    )
    devices: int = setting(
        1,
        "Devices that share the rows of a batch between them; the numbers are those of one device up to rounding.",
        rule=count,
    )
    vocab_shards: int = setting(
        1,
        "Pieces that embedding and softmax are cut into along the vocabulary, one a device; they are taken out of "
        "devices, of which devices / vocab_shards share the rows.",
        rule=count,
    )
    epochs: int = setting(8, "Passes over the training data.", rule=count)
    steps: int | None = setting(None, "Length of the run in steps, instead of epochs.", rule=count)
    seed: int = setting(0, "Seed of initialisation, dropout and shuffling.", rule=seed)
    log_every: int = setting(100, "Steps between reports.", rule=count)
    telemetry_every: int | None = setting(
        None,
        "Steps between measurements of how far back the gradient reaches, such as 200. Without it, none.",
        rule=count,
    )
    eval_every: int | None = setting(None, "Steps between validations, if not once an epoch.", rule=count)
    checkpoint_every: int | None = setting(
        None, "Steps between checkpoints besides the one at each validation.", rule=count
    )
    patience: int | None = setting(None, "Stop after this many validations without improvement.", rule=count)

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        check(self)
        if self.batch_size % self.accumulate:
            raise UserError(
                f"accumulate must divide batch_size {self.batch_size}, got {self.accumulate}",
                ("accumulate", "batch_size"),
            )
        if self.devices % self.vocab_shards:
            raise UserError(f"vocab_shards must divide devices {self.devices}, got {self.vocab_shards}", _DEVICES)
        rows = self.devices // self.vocab_shards
        if self.batch_size // self.accumulate % rows:
            parts = f" / accumulate {self.accumulate}" if self.accumulate > 1 else ""
            shards = f" / vocab_shards {self.vocab_shards}" if self.vocab_shards > 1 else ""
            raise UserError(
                f"devices{shards} must divide batch_size {self.batch_size}{parts}, got {rows}",
                (*_DEVICES, "batch_size", "accumulate"),
            )


_DEVICES = ("devices", "vocab_shards")


@dataclasses.dataclass(frozen=True)
class TrainConfig(RunConfig):
    """Settings of a language model that is trained by steps."""

    data: DataConfig = DataConfig()
    model: Any = choice_of(MODELS, "recurrent", "A recurrent network, or a network over the last tokens.")
    mode: Literal["stream", "sentence"] = setting(
        "stream",
        "stream: the carry runs on across lines. sentence: it is reset at every line, and lines are shuffled.",
    )
    bptt: int = setting(
        64,
        "Time steps of a chunk of truncated backpropagation; the carry is handed from chunk to chunk.",
        rule=count,
    )
    random_bptt: bool = setting(False, "Vary the length of chunks about bptt, the learning rate with it.")
    scheduled_sampling: float = setting(0.0, "Share of inputs replaced by the model's own predictions.", rule=share)
    eval_streams: int = setting(
        10,
        "Parallel streams that validation and test texts are cut into; perplexities compare only at equal numbers.",
        rule=count,
    )

    def __post_init__(self):
        coerce_kinds(self)

    @property
    def task(self) -> str:
        """The name of the task, which is that of the kind of model."""
        return self.model.kind

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        super().check()
        self.model.check()
