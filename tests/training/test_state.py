"""The steps: the same bits for any division into dispatches, and what they add up."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.cells import rnn
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import build_train_steps, create_state, cross_entropy, text_source


EOL = 0
TOKENS = np.random.default_rng(0).integers(0, 5, 331).astype(np.int32)
BATCHES = {mode: Batches(TOKENS, EOL, 4, 6, mode) for mode in ("stream", "sentence")}
MODEL = recurrent_lm(5, rnn(3, 4), dropout_rate=0.5)
ADAM = optax.chain(optax.clip_by_global_norm(0.05), optax.adam(1e-2))
SGD = optax.sgd(0.1)


def on_device(mode, epoch=0):
    return jax.tree.map(jnp.asarray, BATCHES[mode].epoch(epoch))


def steps_of(mode, optimizer, model=MODEL, loss=None, clip=None):
    """`train_steps`, with a loss of one's own if need be."""
    return build_train_steps(loss or cross_entropy(model), text_source(BATCHES[mode], model), optimizer, clip=clip)


def new_state(model, optimizer, seed=0):
    """The state before the first step, which is the same in both modes."""
    return create_state(model.init, text_source(BATCHES["stream"], model), optimizer, seed)


def test_a_state_begins_with_one_program_beside_that_of_the_parameters():
    """Zeros of each shape, made one by one, would each be compiled."""
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
    counts = []
    for hidden in (5, 6, 7):  # the first also compiles what makes and splits keys
        model, before = recurrent_lm(5, rnn(3, hidden)), len(compiled)
        create_state(jax.jit(model.init), text_source(BATCHES["stream"], model), ADAM, 0, averaged=True, guarded=True)
        counts.append(compiled[before:].count("/jax/core/compile/backend_compile_duration"))
    assert counts[1:] == [2, 2]


def as_numbers(state):
    """All of a state as numpy arrays, the key too."""
    return jax.tree.map(np.asarray, state.replace(key=jax.random.key_data(state.key)))


def assert_identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, as_numbers(a), as_numbers(b))


@pytest.fixture(scope="module", params=["stream", "sentence"])
def trained(request):
    """Ten steps in one dispatch with dropout and Adam, the function that made them, and how often it was traced."""
    traces = []
    loss_fn = cross_entropy(MODEL)

    def loss(*arguments):
        traces.append(1)
        return loss_fn(*arguments)

    train_steps = steps_of(request.param, ADAM, loss=loss, clip=0.05)
    streams = on_device(request.param)
    state = train_steps(new_state(MODEL, ADAM), streams, 10)
    return state, train_steps, streams, traces


@pytest.mark.parametrize("division", [[1] * 10, [3, 7], [7, 0, 3], [9, 1]], ids=str)
def test_any_division_into_dispatches_gives_the_same_bits(trained, division):
    expected, train_steps, streams, _ = trained
    state = new_state(MODEL, ADAM)
    for count in division:
        state = train_steps(state, streams, count)
    assert int(state.step) == 10
    assert_identical(state, expected)


def test_all_dispatches_are_one_trace(trained):
    _, train_steps, streams, traces = trained
    state = new_state(MODEL, ADAM, 1)
    for count in (2, 5, 1):
        state = train_steps(state, streams, count)
    assert len(traces) == 1


def test_the_state_is_donated(trained):
    _, train_steps, streams, _ = trained
    state = new_state(MODEL, ADAM, 1)
    new = train_steps(state, streams, 1)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((new, streams)))


def test_a_seed_determines_the_state():
    assert_identical(new_state(MODEL, ADAM, 3), new_state(MODEL, ADAM, 3))
    a, b = (as_numbers(new_state(MODEL, ADAM, seed)) for seed in (3, 4))
    assert (a.params.embedding != b.params.embedding).any() and (a.key != b.key).any()


def gradients_by_hand(model, state, count, mode="stream"):
    """Gradients of SGD's first steps, taken one by one from the chunks on the host, without dropout."""

    def loss(params, carry, batch):
        carry, logits = model.unroll(params, carry, batch.inputs, mask=batch.mask, reset=batch.reset)
        log_probs = jax.nn.log_softmax(logits)
        picked = jnp.take_along_axis(log_probs, batch.targets[..., None], axis=-1)[..., 0]
        return -jnp.sum(picked * batch.mask) / batch.mask.sum(), (carry, -jnp.sum(picked * batch.mask))

    params, carry, differentiate = state.params, state.carry, jax.jit(jax.value_and_grad(loss, has_aux=True))
    for index in range(count):
        batch = BATCHES[mode].batch_at(index)
        (_, (carry, nll)), grads = differentiate(params, carry, batch)
        yield grads, float(nll), int(batch.mask.sum())
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


@pytest.mark.parametrize("mode", ["stream", "sentence"])
def test_totals_are_sums_over_steps_with_norms_before_clipping(mode):
    model = recurrent_lm(5, rnn(3, 4))
    by_hand = list(gradients_by_hand(model, new_state(model, SGD), 5, mode))
    norms = sorted(float(optax.tree.norm(grads)) for grads, _, _ in by_hand)
    assert min(np.diff(norms)) > 1e-4
    clip = (norms[2] + norms[3]) / 2  # the two longest gradients are clipped - or only counted, as here
    totals = steps_of(mode, SGD, model, clip=clip)(new_state(model, SGD), on_device(mode), 5).totals
    assert (int(totals.steps), int(totals.clipped)) == (5, 2)
    assert int(totals.tokens) == sum(tokens for _, _, tokens in by_hand)
    assert float(totals.nll) == pytest.approx(sum(nll for _, nll, _ in by_hand), rel=1e-5)
    assert float(totals.grad_norm) == pytest.approx(sum(norms), rel=1e-5)


def test_the_norm_is_that_before_the_optimizer_clips():
    model = recurrent_lm(5, rnn(3, 4))
    clipping = optax.chain(optax.clip_by_global_norm(1e-3), SGD)
    grads = next(iter(gradients_by_hand(model, new_state(model, SGD), 1)))[0]
    before = jax.tree.map(np.asarray, new_state(model, clipping).params)
    state = steps_of("stream", clipping, model, clip=1e-3)(new_state(model, clipping), on_device("stream"), 1)
    moved = optax.tree.norm(jax.tree.map(jnp.subtract, state.params, before))
    assert float(state.totals.grad_norm) == pytest.approx(float(optax.tree.norm(grads)), rel=1e-5)
    assert float(moved) == pytest.approx(0.1 * 1e-3, rel=1e-3)  # differences of float32 parameters of about 0.1
    assert int(state.totals.clipped) == 1


def test_the_plateau_factor_scales_the_step():
    model = recurrent_lm(5, rnn(3, 4))
    before = jax.tree.map(np.asarray, new_state(model, SGD).params)
    train_steps, moved = steps_of("stream", SGD, model), []
    for scale in (1.0, 0.25):
        state = new_state(model, SGD).replace(learning_rate_scale=jnp.asarray(scale))
        after = train_steps(state, on_device("stream"), 1).params
        moved.append(float(optax.tree.norm(jax.tree.map(jnp.subtract, after, before))))
    assert moved[1] / moved[0] == pytest.approx(0.25, rel=1e-3)


def test_without_a_clip_no_step_counts_as_clipped():
    state = steps_of("stream", SGD)(new_state(MODEL, SGD), on_device("stream"), 3)
    assert int(state.totals.clipped) == 0
