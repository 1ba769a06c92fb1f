"""The data of the study of speech: what is spoken, its noise, its features and its batches."""

import numpy as np
import pytest

from experiments.tasks.speech_task import FEATURES, SpeechConfig, SpeechData, batches, features, targets_of
from experiments.tasks.spoken_digits import RATE, WORDS, draw_strings, with_noise


STRINGS = draw_strings(6, 0)


def test_words_lie_in_the_signal_one_after_the_other():
    assert len(set(WORDS)) == 10
    for digits, signal, words in zip(STRINGS.digits, STRINGS.signals, STRINGS.words, strict=True):
        assert words.shape == (len(digits), 2) and np.all(np.diff(words.ravel()) > 0)
        samples = (words * RATE).round().astype(int)
        silent = np.ones(len(signal), bool)
        for begin, end in samples:
            assert np.mean(signal[begin:end] ** 2) > 0.1
            silent[begin:end] = False
        assert not np.any(signal[silent]) and np.mean(signal**2) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("decibels", [-15, 0, 20])
def test_noise_is_as_loud_as_is_said(decibels):
    signal = max(STRINGS.signals, key=len)
    noisy = with_noise(signal, decibels, np.random.default_rng(0))
    share = np.mean(signal * noisy)  # the signal has power 1, and the noise is independent of it
    noise = noisy - share * signal
    assert 10 * np.log10(share**2 / np.mean(noise**2)) == pytest.approx(decibels, abs=1)


def test_features_of_a_signal_do_not_depend_on_its_company():
    """Nearly without noise; each band has mean zero."""
    together = features(STRINGS.signals, np.full(6, 60.0), np.random.default_rng(0))
    for signal, found in zip(STRINGS.signals, together, strict=True):
        alone = features([signal], np.array([60.0]), np.random.default_rng(1))[0]
        assert found.shape == alone.shape == (FEATURES.frames(len(signal)), 32)
        np.testing.assert_allclose(found.mean(axis=0), 0, rtol=0, atol=1e-4)
        assert np.corrcoef(found.ravel(), alone.ravel())[0, 1] > 0.98


def test_batches_have_every_string_once_in_noise_that_is_new_in_each_pass():
    settings = SpeechConfig(batch_size=4)
    source = batches(settings, SpeechData(STRINGS, STRINGS, [], ""), None)
    seen = []
    arrays, start = source.epoch(0), 0
    for length in source.lengths(0).tolist():
        _, batch = source.batch(None, arrays, (), start, length)
        start += length
        for column in np.flatnonzero(np.any(batch.source_mask, axis=0)):
            target, real = batch.target.targets[:, column], batch.target.mask[:, column]
            seen.append((int(batch.source_mask[:, column].sum()), target[real].tolist()))
            assert not np.any(batch.source[int(batch.source_mask[:, column].sum()) :, column])
    lengths = [FEATURES.frames(len(signal)) for signal in STRINGS.signals]
    assert sorted(seen) == sorted(zip(lengths, map(list, targets_of(STRINGS)), strict=True))
    assert np.array_equal(arrays[0], source.epoch(0)[0])
    assert not np.array_equal(np.sort(arrays[0].ravel()), np.sort(source.epoch(1)[0].ravel()))
