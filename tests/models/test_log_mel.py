"""Log-mel features against a loop over frames, bins and bands in float64, and tones in their bands."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lm_jax.errors import UserError
from lm_jax.models.log_mel import log_mel


RATE = 8000
FEATURES = log_mel(RATE, bands=20, lowest=100, highest=3600)
EXTRACT = jax.jit(FEATURES.extract)


def loop(signal, bands, lowest, highest, floor=1e-10):
    """The equations of the module, one number at a time: frames of 200 samples, 80 apart, a transform of 256."""
    mel = [2595 * math.log10(1 + f / 700) for f in (lowest, highest)]
    edges = [mel[0] + (mel[1] - mel[0]) * m / (bands + 1) for m in range(bands + 2)]
    times = np.arange(200)
    window = (1 - np.cos(2 * np.pi * times / 200)) / 2
    rows = []
    for start in range(0, len(signal) - 199, 80):
        energies = np.zeros(bands)
        for k in range(129):
            power = abs(np.sum(signal[start : start + 200] * window * np.exp(-2j * np.pi * k * times / 256))) ** 2
            at = 2595 * math.log10(1 + k * RATE / 256 / 700)
            for m in range(bands):
                left, centre, right = edges[m : m + 3]
                if left < at < right:
                    energies[m] += power * (
                        (at - left) / (centre - left) if at <= centre else (right - at) / (right - centre)
                    )
        rows.append(np.log(np.maximum(energies, floor)))
    return np.array(rows)


def test_it_equals_the_equations():
    signal = np.random.default_rng(0).normal(size=(730, 2)).astype(np.float32)
    found = EXTRACT(signal)
    assert found.shape == (7, 2, 20) == (FEATURES.frames(730), 2, 20)
    for row in range(2):
        np.testing.assert_allclose(found[:, row], loop(signal[:, row].astype(float), 20, 100, 3600), rtol=0, atol=2e-4)


@pytest.mark.parametrize("band", [3, 10, 19])
def test_a_tone_peaks_in_its_band(band):
    tone = np.sin(2 * np.pi * FEATURES.centres[band] * np.arange(800) / RATE).astype(np.float32)
    assert set(np.argmax(EXTRACT(tone), axis=-1).tolist()) == {band}


def test_twice_the_signal_is_log_four_more_in_every_band():
    signal = np.random.default_rng(1).normal(size=400).astype(np.float32)
    np.testing.assert_allclose(EXTRACT(2 * signal) - EXTRACT(signal), np.log(4), rtol=0, atol=1e-4)


def test_silence_is_the_floor_and_a_short_signal_has_no_frame():
    assert np.all(np.asarray(EXTRACT(np.zeros(300, np.float32))) == np.float32(np.log(np.float32(1e-10))))
    assert [FEATURES.frames(n) for n in (0, 199, 200, 279, 280)] == [0, 0, 1, 1, 2]
    assert EXTRACT(np.zeros(199, np.float32)).shape == (0, 20)


def test_its_gradient_is_finite():
    signal = jnp.asarray(np.random.default_rng(2).normal(size=300).astype(np.float32))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(FEATURES.extract(x))))(signal)
    assert np.isfinite(gradient).all() and np.any(gradient)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match="half of sample_rate 8000, got 20 to 5000 Hz"):
        log_mel(RATE, highest=5000)
    with pytest.raises(UserError, match=r"got none for \d+ of 120 bands; take fewer bands or longer frames"):
        log_mel(RATE, bands=120)
    assert log_mel(RATE) is log_mel(RATE, bands=40)
