"""How many arrays of the size of the logits `score` holds: read off the compiled program."""

import math
import re

import jax
import jax.numpy as jnp
import pytest

from lm_jax.cells import gru
from lm_jax.models import recurrent_lm


# Everything else is small beside the logits [T, B, V], 10 MB.
T, B, V, H = 64, 8, 5000, 8
LOGITS = T * B * V


def compiled(tied, limit, train):
    """`score`, or its gradient by the parameters, compiled for [T, B] tokens."""
    model = recurrent_lm(V, gru(H, H), tied=tied, logits_limit=limit)

    def loss(params, tokens):
        return -jnp.mean(model.score(params, model.initial_carry(params, (B,)), tokens, tokens)[1])

    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((T, B), jnp.int32)
    return jax.jit(jax.value_and_grad(loss) if train else loss).lower(params, tokens).compile()


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("train", [False, True], ids=["score", "gradient"])
def test_below_the_limit_copies_of_the_logits_are_few(tied, train):
    """One is the aim. XLA on CPUs fuses no arithmetic into a reduction over the vocabulary, so that the exponentials
    (in the gradient, the derivatives) are a second one."""
    held = compiled(tied, 2**29, train).memory_analysis().temp_size_in_bytes
    assert 4 * LOGITS <= held < 2.1 * 4 * LOGITS


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("train", [False, True], ids=["score", "gradient"])
def test_above_the_limit_there_is_none(tied, train):
    limit = 4 * LOGITS // 16
    program = compiled(tied, limit, train)
    shapes = re.findall(r"\b[a-z]+[0-9]+\[([0-9,]+)\]", program.as_text())
    largest = max(math.prod(map(int, shape.split(","))) for shape in shapes)
    assert 4 * largest <= limit
    assert program.memory_analysis().temp_size_in_bytes < 5 * limit < 4 * LOGITS / 3
