"""Training: losses, optimisers, the state and its steps, the loop, checkpoints."""

from lm_jax.training.checkpoints import Checkpoints
from lm_jax.training.loop import Diverged, History, Hooks, Plan, fit
from lm_jax.training.losses import Chunk, Tally, cross_entropy
from lm_jax.training.optimizers import build_optimizer, build_schedule
from lm_jax.training.state import TrainState, build_train_steps, create_state


__all__ = [
    "Checkpoints",
    "Chunk",
    "Diverged",
    "History",
    "Hooks",
    "Plan",
    "Tally",
    "TrainState",
    "build_optimizer",
    "build_schedule",
    "build_train_steps",
    "create_state",
    "cross_entropy",
    "fit",
]
