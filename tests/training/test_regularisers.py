"""Dropout of embeddings and activations, penalties on activations, weight decay: each against a formula of its own."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.cells import Cell, rnn, scan_unroll, stacked
from lm_jax.config import OptimizerConfig, from_flat
from lm_jax.models import recurrent_lm
from lm_jax.models.build import from_config
from lm_jax.training import build_optimizer, build_schedule, cross_entropy
from lm_jax.training.losses import Chunk, regularised_cross_entropy
from tests.runs.toy import model_config


V, E, T, B = 12, 4, 30, 5
TOKENS = np.random.default_rng(0).integers(0, V, (T, B)).astype(np.int32)


def mirror(size):
    """A cell that shows what it is given: y_t = x_t."""

    def initial_carry(params, batch_shape):
        return jnp.zeros((*batch_shape, 1))

    def step(params, carry, x):
        return carry + 1, x

    return Cell(lambda key: None, initial_carry, step, scan_unroll(initial_carry, step), size, size)


MIRROR = mirror(E)


def normal(model, seed=0):
    """Parameters without a zero among them."""
    generator = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), jnp.float32), shapes)


def seen(model, params, key):
    """What the cell is given and what the softmax is given, [T, B, E], with a key."""
    carry = model.initial_carry(params, (B,))
    _, ys, dropped = model.opened.hidden(params, carry, TOKENS, key=key)
    return np.asarray(ys), np.asarray(dropped)


def factors(values, whole, rate):
    """The mask in `values` = mask * `whole` / (1 - rate), after a check that there is one."""
    mask = values != 0
    np.testing.assert_allclose(values, np.where(mask, whole / (1 - rate), 0), rtol=1e-6)
    assert 0 < mask.mean() < 1
    return mask


def test_embedding_dropout_takes_whole_types_out_of_a_chunk():
    model = recurrent_lm(V, MIRROR, embedding_dropout=0.4)
    params = normal(model)
    whole = np.asarray(params.embedding)[TOKENS]
    absent = np.zeros(V)
    for key in jax.random.split(jax.random.key(1), 20):
        mask = factors(seen(model, params, key)[0], whole, 0.4)
        rows = {token: np.unique(mask[TOKENS == token]) for token in range(V)}
        assert all(len(values) == 1 for values in rows.values())  # all occurrences, and all units, of a type alike
        absent += [not rows[token][0] for token in range(V)]
    # of 240 draws a share 0.4 each: five standard deviations
    assert abs(absent.sum() / 240 - 0.4) < 5 * math.sqrt(0.24 / 240) and absent.max() < 20


def test_embedding_dropout_leaves_a_tied_softmax_alone():
    model = recurrent_lm(V, MIRROR, embedding_dropout=0.4, tied=True)
    params = normal(model)
    key, carry = jax.random.key(2), model.initial_carry(params, (B,))
    xs = seen(model, params, key)[1].astype(np.float64)
    logits = xs @ np.asarray(params.embedding, np.float64).T + np.asarray(params.b_out, np.float64)
    np.testing.assert_allclose(model.unroll(params, carry, TOKENS, key=key)[1], logits, atol=1e-4)


@pytest.mark.parametrize("kind", ["locked", "elementwise"])
def test_a_locked_mask_is_constant_in_time(kind):
    model = recurrent_lm(V, MIRROR, dropout_rate=0.4, dropout_kind=kind)
    params = normal(model)
    for key in jax.random.split(jax.random.key(3), 5):
        ys, dropped = seen(model, params, key)
        given = factors(ys, np.asarray(params.embedding)[TOKENS], 0.4)
        read = factors(dropped, ys, 0.4) | ~given
        constant = (given == given[0]).all() and (read == (read[0] | ~given)).all()
        assert constant == (kind == "locked")
        assert (given[0] != given[0, 0]).any()  # but rows have masks of their own
        assert not read[0].all()  # and outputs one besides that of inputs


@pytest.mark.parametrize("kind", ["locked", "elementwise"])
def test_dropout_between_layers(kind):
    """Two mirrors, and what the upper one is given."""
    model = recurrent_lm(V, stacked([MIRROR, MIRROR], dropout_rate=0.3, dropout_kind=kind))
    params = normal(model)
    mask = factors(seen(model, params, jax.random.key(4))[0], np.asarray(params.embedding)[TOKENS], 0.3)
    assert (mask == mask[0]).all() == (kind == "locked") and (mask[0] != mask[0, 0]).any()


KINDS = {
    "embedding": {"embedding_dropout": 0.4},
    "locked": {"dropout_rate": 0.4, "output_dropout": 0.0, "dropout_kind": "locked"},
    "elementwise": {"dropout_rate": 0.4, "output_dropout": 0.0},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_expectations_are_preserved(options):
    """A mean over n keys is off by |x| sqrt(0.4 / 0.6 / n) and rarely by five times that."""
    model, n = recurrent_lm(V, MIRROR, **options), 2000
    params = normal(model)
    carry = model.initial_carry(params, (B,))
    hidden = jax.vmap(lambda key: model.opened.hidden(params, carry, TOKENS[:3], key=key)[1])
    mean = np.asarray(jax.jit(hidden)(jax.random.split(jax.random.key(5), n)), np.float64).mean(axis=0)
    whole = np.asarray(params.embedding)[TOKENS[:3]]
    assert np.abs((mean - whole) / (whole * math.sqrt(0.4 / 0.6 / n))).max() < 5


SETTINGS = ["dropout_input", "dropout_layer", "dropout_output", "dropout_embedding", "weight_drop"]


@pytest.mark.parametrize("name", [None, *SETTINGS])
def test_without_a_key_nothing_is_dropped_and_each_setting_is_its_own(name):
    rates = {**dict.fromkeys(SETTINGS, 0.0), **({name: 0.5} if name else {})}
    size = {"cell": "gru", "hidden_size": 4, "embedding_size": 4, "layers": 2}
    model, plain = (from_config(model_config(**size, **more), V) for more in ({"dropout": 0.5, **rates}, {}))
    params = normal(plain)
    carry = model.initial_carry(params, (B,))
    score = jax.jit(model.score)
    expected = jax.jit(plain.score)(params, carry, TOKENS, TOKENS)
    jax.tree.map(np.testing.assert_array_equal, score(params, carry, TOKENS, TOKENS), expected)
    with_key = score(params, carry, TOKENS, TOKENS, key=jax.random.key(0))
    assert np.array_equal(with_key[1], expected[1]) == (name is None)


MODEL = recurrent_lm(V, stacked([rnn(E, 5), rnn(5, 6)]), dropout_rate=0.3, dropout_kind="locked")


def a_chunk(reset):
    """Rows of 30, 17 and 0 real tokens among others; in sentence mode with resets, a line of one token too."""
    mask = np.arange(T)[:, None] < np.array([30, 17, 0, 29, 1])
    resets = TOKENS == 3
    resets[4:7, 0] = True
    return Chunk(TOKENS, np.roll(TOKENS, -1, axis=0), mask, resets if reset else None)


def by_hand(chunk, params, carry, key, alpha, beta):
    """The two penalties in float64, term by term."""
    mask = None if chunk.reset is None else chunk.mask
    _, ys, dropped = MODEL.opened.hidden(params, carry, TOKENS, mask=mask, reset=chunk.reset, key=key)
    ys, dropped = np.asarray(ys, np.float64), np.asarray(dropped, np.float64)
    squares, changes = [], []
    for b in range(B):
        for t in range(T):
            if chunk.mask[t, b]:
                squares.append(np.mean(dropped[t, b] ** 2))
            if t > 0 and chunk.mask[t, b] and not (chunk.reset is not None and chunk.reset[t, b]):
                changes.append(np.mean((ys[t, b] - ys[t - 1, b]) ** 2))
    assert len(squares) == chunk.mask.sum() > len(changes) > 0
    return alpha * np.mean(squares) + beta * np.mean(changes)


APART = [(2.0, 0.0), (0.0, 1.5)]


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 1.0), *(pytest.param(*c, marks=pytest.mark.slow) for c in APART)])
def test_penalties_on_activations(alpha, beta, reset):
    params, key, chunk = normal(MODEL), jax.random.key(6), a_chunk(reset)
    carry = jax.tree.map(lambda leaf: leaf + 0.3, MODEL.initial_carry(params, (B,)))
    plain, (plain_carry, plain_tally) = jax.jit(cross_entropy(MODEL))(params, carry, chunk, key)
    loss, (new_carry, tally) = jax.jit(regularised_cross_entropy(MODEL, alpha, beta))(params, carry, chunk, key)
    penalty = by_hand(chunk, params, carry, key, alpha, beta)
    assert penalty > 0.1
    assert float(loss) - float(plain) == pytest.approx(penalty, rel=1e-5)  # the loss is a float32 of some 3
    jax.tree.map(np.testing.assert_array_equal, (new_carry, tally), (plain_carry, plain_tally))


def test_without_coefficients_it_is_cross_entropy():
    params, key, chunk = normal(MODEL), jax.random.key(6), a_chunk(True)
    carry = MODEL.initial_carry(params, (B,))
    one, other = (
        jax.jit(jax.value_and_grad(loss, has_aux=True))(params, carry, chunk, key)
        for loss in (cross_entropy(MODEL), regularised_cross_entropy(MODEL, 0.0, 0.0))
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), one, other)


@pytest.mark.parametrize(("steps", "real"), [(1, 1), (4, 1), (4, 0)])
def test_gradients_are_finite_where_there_is_nothing_to_penalise(steps, real):
    """One step has no change; a chunk without tokens has no activations; zero activations have no direction."""
    params = jax.tree.map(jnp.zeros_like, normal(MODEL))
    chunk = Chunk(TOKENS[:steps], TOKENS[:steps], np.full((steps, B), bool(real)), np.ones((steps, B), bool))
    carry = MODEL.initial_carry(params, (B,))
    loss_fn = regularised_cross_entropy(MODEL, 2.0, 1.0)
    differentiate = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
    (loss, _), grads = differentiate(params, carry, chunk, jax.random.key(0))
    assert float(loss) == pytest.approx(real * math.log(V), rel=1e-6)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


P, G = np.array([1.0, -2.0, 0.5]), [np.array([0.3, 0.1, -0.2]), np.array([-1.0, 0.4, 0.2]), np.array([0.0, 2.0, 0.1])]


def optimised(**settings):
    """Parameters after each gradient of G."""
    config = from_flat(OptimizerConfig, {"schedule": "constant", "learning_rate": 0.1, **settings})
    optimizer = build_optimizer(config, build_schedule(config, 10))
    params, path = jnp.asarray(P), []
    state = optimizer.init(params)
    for gradient in G:
        updates, state = optimizer.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, updates)
        path.append(np.asarray(params))
    return np.array(path)


def adam(gradient_of, decay_of):
    """Kingma & Ba 2015 in float64, with decay of Loshchilov & Hutter 2019."""
    p, m, v, path = P, 0.0, 0.0, []
    for n, gradient in enumerate(G, 1):
        g = gradient_of(gradient, p)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = p - 0.1 * (m / (1 - 0.9**n) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8) + decay_of(p))
        path.append(p)
    return np.array(path)


def test_weight_decay():
    """Added to the (clipped) gradient for sgd and adam, apart from it for adamw."""
    sgd, clipped, p, q = [], [], P, P
    for g in G:
        p, q = p - 0.1 * (g + 0.2 * p), q - 0.1 * (g * min(1, 0.5 / np.linalg.norm(g)) + 0.2 * q)
        sgd.append(p)
        clipped.append(q)
    expected = {
        ("sgd", None): sgd,
        ("sgd", 0.5): clipped,
        ("adam", None): adam(lambda g, p: g + 0.2 * p, lambda p: 0.0),
        ("adamw", None): adam(lambda g, p: g, lambda p: 0.2 * p),
    }
    for (name, clip), path in expected.items():
        result = optimised(optimizer=name, weight_decay=0.2, clip=clip)
        np.testing.assert_allclose(result, path, rtol=1e-5, err_msg=name)
