"""Averages of the weights over training, which are validated, kept and loaded instead of the last weights.

    ema       avg <- d avg + (1 - d) params, with d = min(decay, (1 + n) / (10 + n)) at the n-th step
    ntasgd    avg = params until triggered; from then on their running mean (Polyak & Juditsky 1992), triggered when
              the validation loss has not improved for `nonmono` validations (NT-ASGD, Merity et al. 2018)

`count` is 0 before the first step and while NT-ASGD is waiting; then, for the EMA, the steps taken, and for NT-ASGD
one more than the steps in the mean.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from lm_jax.types import Params


class Average(NamedTuple):
    """Averaged parameters and the count that the next update goes by."""

    params: Params
    count: Int[Array, ""]


UpdateFn = Callable[[Average, Params], Average]


def start(params: Params) -> Average:
    """Starts an average with a copy of the parameters."""
    return Average(jax.tree.map(jnp.copy, params), jnp.zeros((), int))


def ema(decay: float) -> UpdateFn:
    """An exponential moving average that forgets its start quickly."""

    def update(average, params):
        n = average.count + 1
        keep = jnp.minimum(decay, (1 + n) / (10 + n))
        return Average(_move(average.params, params, 1 - keep), n)

    return update


def running_mean() -> UpdateFn:
    """The parameters themselves while count is 0; from the trigger on the mean of all since."""

    def update(average, params):
        waiting = average.count == 0
        share = jnp.where(waiting, 1.0, 1.0 / jnp.maximum(average.count, 1))
        return Average(_move(average.params, params, share), average.count + jnp.where(waiting, 0, 1))

    return update


def no_average(settings: Any) -> None:
    """Makes nothing: the last step's weights are kept."""
    del settings


def moving_average(settings: Any) -> UpdateFn:
    """Makes the exponential moving average of some settings."""
    return ema(settings.decay)


def triggered_mean(settings: Any) -> UpdateFn:
    """Makes the running mean; the plan says when it is triggered."""
    del settings
    return running_mean()


def trigger(average: Average) -> Average:
    """Starts the running mean with the next step."""
    return average._replace(count=jnp.ones_like(average.count))


def has_stalled(valid_losses: Sequence[float], nonmono: int) -> bool:
    """Whether the last validation was worse than the best of those more than `nonmono` before it."""
    return len(valid_losses) > nonmono + 1 and valid_losses[-1] > min(valid_losses[: -nonmono - 1])


def _move(average, params, share):
    # the share in the type of the parameters: where numbers are float64, the average is not
    return jax.tree.map(lambda a, p: a + jnp.asarray(share, a.dtype) * (p - a), average, params)
