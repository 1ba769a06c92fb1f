"""Training: losses, batches, optimisers, the state and its steps, the loop, checkpoints."""

from lm_jax.training.batch_source import BatchSource, one_a_step
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.training.chunks import chunk_source, text_source
from lm_jax.training.divergence import Diverged
from lm_jax.training.history import History
from lm_jax.training.listener import Listener, Report, Score, Validation
from lm_jax.training.listeners import Listeners
from lm_jax.training.loop import LoopFunctions, Training, fit
from lm_jax.training.losses import Chunk, LossFn, Tally, cross_entropy
from lm_jax.training.optimizers import build_optimizer, build_schedule
from lm_jax.training.plan import Plan
from lm_jax.training.scalars import ScalarListener
from lm_jax.training.state import TrainState, build_train_steps, create_state


__all__ = [
    "BatchSource",
    "Checkpoints",
    "Chunk",
    "Diverged",
    "History",
    "Listener",
    "Listeners",
    "LoopFunctions",
    "LossFn",
    "Plan",
    "Report",
    "ScalarListener",
    "Score",
    "Tally",
    "TrainState",
    "Training",
    "Validation",
    "build_optimizer",
    "build_schedule",
    "build_train_steps",
    "chunk_source",
    "create_state",
    "cross_entropy",
    "fit",
    "one_a_step",
    "text_source",
]
