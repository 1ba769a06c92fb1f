"""Spoken strings of digits, made of tones and noise: ten words of two or three sounds, of any pitch and pace.

A vowel is a sum of the harmonics h f0 of a pitch, each as loud as two resonances (formants) at F1 and F2 make it; "s"
is noise without its low frequencies. Within a word formants glide from sound to sound. "ai" (5) and "ia" (9) differ in
their order alone.

    voice(t)  = sum_h A_h(t) sin(h phi(t))        phi' = 2 pi f0(t)
    A_h       = sum_i 1 / (1 + ((h f0 - F_i) / W_i)^2) / sqrt(h)
"""

from typing import NamedTuple

import numpy as np


RATE = 8000  # samples a second
FORMANTS = {"i": (280, 2250), "e": (500, 1850), "a": (750, 1200), "o": (480, 850), "u": (320, 700)}  # in Hz
WIDTHS = (80, 120)  # of the resonances, in Hz
WORDS = ("sio", "ua", "su", "si", "so", "ai", "sis", "seu", "ei", "ia")  # of the digits
HIGHEST = 3400  # no harmonics above, in Hz
MOST_DIGITS = 6


class Strings(NamedTuple):
    """Strings of digits and how they sound: digits int [L_n], signals float32 [N_n]; words [L_n, 2]: where each begins
    and ends, in seconds."""

    digits: list[np.ndarray]
    signals: list[np.ndarray]
    words: list[np.ndarray]


class Speaker(NamedTuple):
    """pitch in Hz; tract: by what the formants are multiplied; pace: by what every length is."""

    pitch: float
    tract: float
    pace: float


def draw_strings(count: int, seed: int) -> Strings:
    """Draws strings of 1 to 6 digits, each by a speaker of its own."""
    rng = np.random.default_rng(seed)
    digits = [rng.integers(0, 10, rng.integers(1, MOST_DIGITS + 1)) for _ in range(count)]
    signals, words = zip(*(speak(string, rng) for string in digits), strict=True)
    return Strings(digits, list(signals), list(words))


def speak(digits: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A signal of one speaker, with pauses before, between and after the words, of mean power 1; and its words."""
    speaker = Speaker(np.exp(rng.uniform(*np.log((90, 250)))), rng.uniform(0.88, 1.14), rng.uniform(0.8, 1.25))
    parts = [silence(0.03, 0.15, rng)]
    for digit in digits:
        parts += [word(WORDS[digit], speaker, rng), silence(0.02, 0.12, rng)]
    signal = np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts]) / RATE
    words = np.stack([ends[:-1:2], ends[1::2]], axis=1)
    return (signal / np.sqrt(np.mean(signal**2))).astype(np.float32), words


def silence(shortest: float, longest: float, rng: np.random.Generator) -> np.ndarray:
    """Zeros for so many seconds."""
    return np.zeros(int(RATE * rng.uniform(shortest, longest)), np.float32)


def word(sounds: str, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """One word."""
    lengths = (RATE * speaker.pace * rng.uniform(0.07, 0.13, len(sounds))).astype(int)
    ends = np.cumsum(lengths)
    times, centres = np.arange(ends[-1]), ends - lengths / 2
    vowels = [k for k, sound in enumerate(sounds) if sound in FORMANTS]
    tracks = speaker.tract * np.array([FORMANTS[sounds[k]] for k in vowels])
    formants = [np.interp(times, centres[vowels], track).astype(np.float32) for track in tracks.T]
    is_voiced = np.repeat([sound in FORMANTS for sound in sounds], lengths).astype(np.float32)
    loudness = smoothed(is_voiced)
    voice = harmonics(speaker.pitch * np.linspace(1.08, 0.92, len(times), dtype=np.float32), formants)
    hiss = np.diff(rng.normal(size=len(times) + 1)).astype(np.float32)
    return (
        rng.uniform(0.7, 1.4)
        * smoothed(np.ones(len(times), np.float32))
        * (loudness * voice + 0.25 * (1 - loudness) * hiss)
    )


def harmonics(pitch: np.ndarray, formants: list[np.ndarray]) -> np.ndarray:
    """A voice of this pitch and these formants, in Hz at each sample."""
    number = np.arange(1, int(HIGHEST / pitch.max()) + 1, dtype=np.float32)[:, None]
    resonances = zip(formants, WIDTHS, strict=True)
    loudness = sum(1 / (1 + np.square((number * pitch - track) / width)) for track, width in resonances)
    phase = 2 * np.pi * np.cumsum(pitch.astype(float)) / RATE
    return np.sum(loudness * np.sin((number * phase % (2 * np.pi)).astype(np.float32)) / np.sqrt(number), axis=0)


def smoothed(values: np.ndarray) -> np.ndarray:
    """The mean over 15 ms around each sample, with zeros beyond the ends."""
    width = int(0.015 * RATE)
    return np.convolve(values, np.full(width, 1 / width, np.float32), mode="same")


def with_noise(signal: np.ndarray, decibels: float, rng: np.random.Generator) -> np.ndarray:
    """A signal of mean power 1, pauses included, in white noise of this signal-to-noise ratio, and again of power 1."""
    noise = 10 ** (-decibels / 20) * rng.normal(size=len(signal)).astype(np.float32)
    return (signal + noise) / np.float32(np.sqrt(1 + 10 ** (-decibels / 10)))
