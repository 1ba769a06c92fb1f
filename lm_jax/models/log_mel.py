"""Log-mel features: a signal as the energies of short frames in bands that are spaced as the ear hears pitch.

    frame_t[n] = x[t hop + n] w[n]                      w[n] = (1 - cos(2 pi n / N)) / 2        n = 0 ... N - 1   (Hann)
    power_t[k] = |sum_n frame_t[n] exp(-2 pi i k n / F)|^2                                      k = 0 ... F / 2
    mel(f)     = 2595 log10(1 + f / 700)                f in Hz
    y_t[m]     = log max(sum_k W[k, m] power_t[k], floor)

F is the power of two from N on. W[., m] is a triangle over frequency: 0 at the centres of the bands to the left and to
the right, 1 at its own; the centres are equally far apart in mel. Davis & Mermelstein 1980; mel after O'Shaughnessy
1987 as in HTK (Young et al.), triangles straight in mel. A tail that does not fill a frame is left out.

Shapes: signal [N, *B], samples in time; features [T, *B, M] of M bands.
"""

from typing import NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lm_jax.caching import cached
from lm_jax.errors import UserError, check_sizes


class ExtractFn(Protocol):
    """A signal [N, *B] to features [T, *B, M]."""

    def __call__(self, signal: Float[Array, "N *B"]) -> Float[Array, "T *B M"]: ...


class LogMel(NamedTuple):
    """Log-mel features: a pure function, and its sizes.

    frame, hop: length of a frame and steps from one to the next, in samples. centres: of the bands, in Hz.
    """

    extract: ExtractFn
    frame: int
    hop: int
    centres: tuple[float, ...]

    def frames(self, samples: int) -> int:
        """Returns how many frames a signal of so many samples has."""
        return max(0, 1 + (samples - self.frame) // self.hop)


@cached
def log_mel(
    sample_rate: int,
    *,
    frame_seconds: float = 0.025,
    hop_seconds: float = 0.010,
    bands: int = 40,
    lowest: float = 20.0,
    highest: float | None = None,
    floor: float = 1e-10,
) -> LogMel:
    """Makes the features of signals with so many samples a second.

    Args:
        sample_rate: samples a second.
        frame_seconds: length of a frame.
        hop_seconds: from the beginning of a frame to that of the next.
        bands: M.
        lowest: where the first band begins, in Hz.
        highest: where the last band ends, in Hz; default: half of the sample rate.
        floor: energy below which a band counts as this.

    Returns:
        The features.

    Raises:
        UserError: for sizes below 1, bands outside 0 to half of the sample rate, and bands so narrow that one of them
            has no frequency of the transform in it.
    """
    highest = sample_rate / 2 if highest is None else highest
    frame, hop = round(frame_seconds * sample_rate), round(hop_seconds * sample_rate)
    check_sizes(sample_rate=sample_rate, bands=bands, frame=frame, hop=hop)
    if not 0 <= lowest < highest <= sample_rate / 2:
        raise UserError(
            f"bands must lie between 0 and half of sample_rate {sample_rate}, got {lowest:g} to {highest:g} Hz"
        )
    size = 1 << (frame - 1).bit_length()
    weights, centres = mel_triangles(sample_rate, size, bands, lowest, highest)
    empty = np.flatnonzero(weights.sum(axis=0) == 0)
    if len(empty):
        raise UserError(
            f"every band needs a frequency of the transform, {sample_rate / size:g} Hz apart, "
            f"got none for {len(empty)} of {bands} bands; take fewer bands or longer frames",
            ["bands"],
        )
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)).astype(np.float32)
    triangles = weights.astype(np.float32)

    def extract(signal):
        count = max(0, 1 + (len(signal) - frame) // hop)
        places = np.arange(count)[:, None] * hop + np.arange(frame)
        cut = jnp.moveaxis(jnp.asarray(signal)[places], 1, -1) * window
        spectrum = jnp.fft.rfft(cut, size, axis=-1)
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
        return jnp.log(jnp.maximum(power @ triangles, floor))

    return LogMel(extract, frame, hop, tuple(centres.tolist()))


def to_mel(hertz: np.ndarray | float) -> np.ndarray:
    """Returns frequencies in mel."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def from_mel(mel: np.ndarray) -> np.ndarray:
    """Returns frequencies in Hz."""
    return 700 * (10 ** (mel / 2595) - 1)


def mel_triangles(
    sample_rate: int, size: int, bands: int, lowest: float, highest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights of the bands, float64 [F / 2 + 1, M], for a transform of `size` samples, F, and the centres
    of the bands in Hz [M].

    Args:
        sample_rate: Samples per second.
        size: F, the samples of a transform.
        bands: M, the number of bands.
        lowest: The lower edge of the first band, in Hz.
        highest: The upper edge of the last band, in Hz.
    """
    edges = np.linspace(to_mel(lowest), to_mel(highest), bands + 2)
    found = to_mel(np.arange(size // 2 + 1) * sample_rate / size)[:, None]
    rising = (found - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - found) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)), from_mel(edges[1:-1])
