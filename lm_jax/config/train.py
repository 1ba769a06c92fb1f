"""Settings of runs that are trained by steps."""

import dataclasses
from typing import Any, ClassVar, Literal

from lm_jax.config.data import DataConfig
from lm_jax.config.kinds import choice_of, coerce_kinds
from lm_jax.config.models import MODELS, model_settings
from lm_jax.config.optimizer import OptimizerConfig
from lm_jax.config.settings import BY_TEXT, check, count, seed, setting, share
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Settings of every run that is trained by steps, whatever its task; a task's own are a subclass with `task`."""

    task: ClassVar[str]

    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=5e-3)
    batch_size: int = setting(
        32, "Rows of a batch. A running text is cut into as many streams.", rule=count, common=True
    )
    accumulate: int = setting(
        1,
        "Gradient-accumulation steps: parts of a batch, computed in turn to save memory. The gradient is that of the "
        "whole batch.",
        rule=count,
        group="devices",
    )
    devices: int = setting(
        1,
        "Devices that share the rows of a batch. Results equal those of one device up to rounding.",
        rule=count,
        group="devices",
    )
    epochs: int | None = setting(8, "Passes over the training data.", rule=count, common=True)
    steps: int | None = setting(None, "Length of the run in steps, instead of epochs.", rule=count, common=True)
    seed: int = setting(0, "Seed of weights, dropout and shuffling.", rule=seed, common=True)
    log_every: int = setting(100, "Steps between two lines of the report.", rule=count, group="reports")
    telemetry_every: int | None = setting(
        None,
        "Steps between measurements of how far the gradient reaches, such as 200. Without it, none are made.",
        rule=count,
        group="reports",
    )
    eval_every: int | None = setting(
        None, "Steps between validations, if not once an epoch.", rule=count, group="reports"
    )
    checkpoint_every: int | None = setting(
        None, "Steps between checkpoints besides the one at each validation.", rule=count, group="reports"
    )
    on_nonfinite: Literal["skip", "halve-lr", "tighten-clip", "stop"] = setting(
        "skip",
        "Policy for a step whose loss or gradient is infinite, NaN or past any use, which is never applied. skip "
        "leaves its batch out and halves the learning rate after 3 in a row; halve-lr and tighten-clip halve the "
        "learning rate, or the clipping norm, each time. All three go back to a good state after 3 in a row and end "
        "the run after 10, stop ends it after the first.",
    )
    on_spike: Literal["report", "rollback"] = setting(
        "report",
        "Policy for a spike of the loss, 8 standard deviations above its running mean. rollback goes back to a good "
        "state; the batches since then are not read again.",
    )
    good_states: int = setting(
        2,
        "Newest good states that are held to go back to, those of checkpoints. Each takes as much memory of the host "
        "as parameters, optimiser and carry together, and as much on disk.",
        rule=count,
        metavar="K",
    )
    patience: int | None = setting(None, "Validations without improvement before it stops.", rule=count, common=True)

    @property
    def vocab_shards(self) -> int:
        """Shards of the vocabulary: one, unless it is a setting of the task's own."""
        return 1

    def __post_init__(self):
        coerce_kinds(self)

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        check(self)
        if self.on_nonfinite == "tighten-clip" and self.optimizer.clip is None:
            names = ("on_nonfinite", "clip")
            raise UserError("on_nonfinite=tighten-clip needs a norm to clip at, got clip none", names)
        if self.good_states != 2 and self.on_nonfinite == "stop" and self.on_spike == "report":
            rule = "good_states needs on_nonfinite other than stop, or on_spike=rollback"
            raise UserError(f"{rule}, got {self.good_states}", ("good_states", "on_nonfinite", "on_spike"))
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

    optimizer: OptimizerConfig = OptimizerConfig()
    epochs: int | None = setting(None, "Passes over the training data.", rule=count, common=True, unset=BY_TEXT)
    data: DataConfig = DataConfig()
    model: Any = choice_of(
        MODELS,
        "recurrent",
        "Kind of model. A window model is a network over the last tokens, an attention model a causal Transformer.",
        coerce=model_settings,
        group="model",
        common=True,
    )
    vocab_shards: int = setting(
        1,
        "Shards of embedding and softmax along the vocabulary, one a device. N must divide the number of devices and "
        "the size of the vocabulary.",
        rule=count,
        group="devices",
    )
    device_tokens: int | None = setting(
        None,
        "Tokens of the training text on a device at a time: a longer text is read in pieces while it trains, with the "
        "same results. If it is not given: what fills a quarter of the device's memory, on a CPU 67 million.",
        rule=count,
        group="devices",
    )
    init_from: str | None = setting(
        None,
        "Weights and vocabulary to begin with: the run of a language model, or a safetensors file of torch's "
        "word_language_model or of Flax linen (with vocabulary). Sizes that are not given are theirs.",
        metavar="RUN|FILE",
        group="model",
    )
    vocabulary: str | None = setting(
        None,
        "Words of the weights in init_from, one a line in the order of their ids, or a run's vocabulary.json.",
        metavar="FILE",
        group="model",
    )
    mode: Literal["stream", "sentence"] = setting(
        "stream",
        "How the text is read: as one stream, or each line alone, in random order (sentence). In a stream the "
        "recurrent state is carried across lines.",
        group="text",
    )
    bptt: int | None = setting(
        None,
        "Chunk of truncated backpropagation. Length in tokens; the recurrent state is carried to the next chunk.",
        rule=count,
        common=True,
        unset=BY_TEXT,
    )
    random_bptt: bool = setting(
        False, "Whether chunk lengths are random, with learning rates in proportion.", group="regularisation"
    )
    scheduled_sampling: float = setting(
        0.0,
        "Probability that an input is replaced by the model's own prediction.",
        rule=share,
        metavar="RATE",
        group="regularisation",
    )
    eval_streams: int = setting(
        10,
        "Parallel streams that validation and test texts are cut into. Perplexities are comparable only at equal N.",
        rule=count,
        group="reports",
    )

    @property
    def task(self) -> str:
        """The name of the task, which is that of the kind of model."""
        return self.model.kind

    def check(self) -> None:
        """Raises UserError for a setting outside its range, or one that nothing would read."""
        super().check()
        self.data.check()
        self.model.check()
        if self.vocabulary is not None and self.init_from is None:
            raise UserError(f"vocabulary needs init_from, got {self.vocabulary} without", ["vocabulary", "init_from"])
