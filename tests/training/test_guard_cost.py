"""What the look at every step costs, as XLA counts the operations of the compiled step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lm_jax.cells import lstm
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import build_train_steps, create_state, cross_entropy, text_source
from lm_jax.training.recovery import POLICIES, Guard


VOCABULARY, EMBEDDING, HIDDEN, ROWS, STEPS = 64, 64, 128, 32, 64
TEXT = Batches(np.zeros(2 * ROWS * STEPS + 1, np.int32), 0, ROWS, STEPS, "stream")


def operations(guard):
    """Floating-point operations and transcendental functions of one step."""
    model = recurrent_lm(VOCABULARY, lstm(EMBEDDING, HIDDEN))
    optimizer, batches = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3)), text_source(TEXT, model)
    train_steps = build_train_steps(cross_entropy(model), batches, optimizer, clip=1.0, guard=guard)
    state = jax.eval_shape(lambda: create_state(model.init, batches, optimizer, 0, guarded=guard is not None))
    epoch = jax.tree.map(jnp.asarray, TEXT.epoch(0))
    cost = train_steps.lower(state, epoch, 5).compile().cost_analysis()
    return cost["flops"], cost["transcendentals"]


def test_the_guard_is_under_a_hundredth_of_a_step():
    plain, guarded = operations(None), operations(Guard(POLICIES["skip"], lambda step: 1e-3, 1.0))
    for without, with_guard in zip(plain, guarded, strict=True):
        assert without < with_guard < 1.01 * without
