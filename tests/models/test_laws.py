"""Every language model of the catalogue keeps every law of a sequence, and those of probabilities."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.cases import MASK, RESET, B, T, make_case
from tests.catalogue import MODELS, VOCAB_SIZE, each_model
from tests.laws import Laws, skip_without_gradient


TARGETS = np.random.default_rng(7).integers(VOCAB_SIZE, size=(T, B), dtype=np.int32)


@pytest.fixture(scope="module", params=each_model())
def case(request):
    """One model of the catalogue."""
    return make_case(MODELS[request.param])


def gathered(logits, targets, mask):
    """What `score` has to equal: the log-softmax at the target, 0 where masked."""
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
    return jnp.where(mask, log_probs, 0.0)


class TestModels(Laws):
    """The laws of a sequence, over every model."""


class TestProbabilities:
    """The laws of `score`, over every model."""

    @pytest.mark.parametrize("key", [None, 1], ids=["evaluation", "training"])
    def test_score_gathers_the_log_softmax_of_unroll(self, case, run, key):
        switches = {"mask": MASK, "reset": RESET, "key": None if key is None else jax.random.key(key)}
        carry, log_probs = run(case.subject.score)(case.params, case.carry, case.xs, TARGETS, **switches)
        expected_carry, logits = run(case.subject.unroll)(case.params, case.carry, case.xs, **switches)
        case.close((carry, log_probs), (expected_carry, gathered(logits, TARGETS, MASK)))
        assert np.all(np.asarray(log_probs)[~MASK] == 0.0)

    def test_gradient_of_score_is_that_of_the_log_softmax_of_unroll(self, case):
        skip_without_gradient(case)

        def through_score(params):
            return jnp.sum(case.subject.score(params, case.carry, case.xs, TARGETS, mask=MASK)[1])

        def through_unroll(params):
            logits = case.subject.unroll(params, case.carry, case.xs, mask=MASK)[1]
            return jnp.sum(gathered(logits, TARGETS, MASK))

        case.close(jax.jit(jax.grad(through_score))(case.params), jax.jit(jax.grad(through_unroll))(case.params))

    def test_all_strings_of_one_length_have_probability_one(self, case):
        for length in (1, 3):
            strings = np.array(list(itertools.product(range(VOCAB_SIZE), repeat=length)), np.int32).T
            inputs = np.concatenate([np.zeros_like(strings[:1]), strings[:-1]])
            carry = case.initial((strings.shape[1],))
            _, log_probs = jax.jit(case.subject.score)(case.params, carry, inputs, strings)
            assert np.exp(np.asarray(log_probs, np.float64).sum(axis=0)).sum() == pytest.approx(1, abs=1e-5)

    def test_without_weights_the_perplexity_is_the_size_of_the_vocabulary(self, case, run):
        if not case.entry.uniform:
            pytest.skip("counts without weights are not uniform")
        nothing = jax.tree.map(jnp.zeros_like, case.params)
        _, log_probs = run(case.subject.score)(nothing, case.initial(), case.xs, TARGETS)
        np.testing.assert_allclose(np.exp(-np.asarray(log_probs)), VOCAB_SIZE, rtol=1e-6)

    def test_batches_of_one_shape_trace_score_once(self, case):
        traces = []

        @jax.jit
        def score(params, carry, inputs, targets):
            traces.append(1)
            return case.subject.score(params, carry, inputs, targets, mask=MASK)

        carry = case.initial()
        for _ in range(2):
            carry, _ = score(case.params, carry, case.xs, TARGETS)
        assert len(traces) == 1
