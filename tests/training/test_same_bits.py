"""The option that gives the steps of a GPU the same bits: it goes to the compiler, and changes nothing on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.peers import ours
from experiments.benchmarks.peers.work import Step
from lm_jax.training import same_bits, side_by_side, state
from lm_jax.training.side_by_side import in_turn, vmapped


WORK = Step(1, 4, 7, False, 0.0, 2, 3)


def trained(options, monkeypatch, advance_of=in_turn):
    """The parameters of two seeds after three steps, compiled with some options."""
    for module in (state, side_by_side):
        monkeypatch.setattr(module, "same_bits_options", lambda: options)
    train_steps, streams, create = ours.training(WORK)
    states = advance_of(train_steps)([create(seed) for seed in range(2)], [streams] * 2, 3, None)
    return [one.params for one in states]


def test_only_a_gpu_needs_it(monkeypatch):
    assert same_bits.same_bits_options() is None
    for platform, expected in {"gpu": same_bits.WITHOUT_ATOMICS, "tpu": None}.items():
        monkeypatch.setattr(jax, "default_backend", lambda platform=platform: platform)
        assert same_bits.same_bits_options() == expected


@pytest.mark.parametrize("advance_of", [in_turn, vmapped])
def test_steps_are_compiled_with_it(monkeypatch, advance_of):
    plain = trained(None, monkeypatch, advance_of)
    jax.tree.map(np.testing.assert_array_equal, plain, trained(same_bits.WITHOUT_ATOMICS, monkeypatch, advance_of))
    with pytest.raises(Exception, match="no_such_option"):
        trained({"no_such_option": True}, monkeypatch, advance_of)


def test_the_compiler_knows_it():
    jax.jit(jnp.sin, compiler_options=same_bits.WITHOUT_ATOMICS)(1.0)
