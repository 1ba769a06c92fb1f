"""The arguments of the instruments: a recurrent model, a text of its vocabulary, a carry that fits.

Each mistake is a `UserError` of one line.
"""

import numbers
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from lm_jax.errors import UserError, check_rising, check_sizes
from lm_jax.models.language_model import LanguageModel, Opened
from lm_jax.types import Carry, TextIds


def check_opened(model: LanguageModel) -> Opened:
    """Returns the model opened at its hidden states; UserError for one that cannot be:
    an n-gram, a window, a mixture."""
    if model.opened is None:
        raise UserError("this analysis needs a model with a recurrent network, as recurrent_lm makes, got another one")
    return model.opened


def inputs_and_targets(
    tokens: TextIds, targets: TextIds | None, vocab_size: int
) -> tuple[Int[np.ndarray, "T B"], Int[np.ndarray, "T B"]]:
    """Returns inputs and targets of int32. A text [T+1] or [T] is a batch of one.

    Args:
        tokens: Ids [T, B]; without targets [T+1, B], of which all but the first are predicted from those before them.
        targets: Ids [T, B], the token that follows each input; None: see `tokens`.
        vocab_size: Ids are below it.

    Raises:
        UserError: For other shapes, fewer than two predictions, and ids that are not in the vocabulary.
    """
    try:
        inputs = np.atleast_1d(np.asarray(tokens))
        outputs = None if targets is None else np.atleast_1d(np.asarray(targets))
    except ValueError:
        raise UserError("tokens must be [T, B], texts of one length, got texts of several") from None
    inputs, outputs = (inputs[:-1], inputs[1:]) if outputs is None else (inputs, outputs)
    inputs, outputs = (ids[:, None] if ids.ndim == 1 else ids for ids in (inputs, outputs))
    if inputs.ndim != 2 or inputs.shape != outputs.shape or not inputs.shape[1]:
        raise UserError(f"tokens must be [T, B], and targets of the same shape, got {inputs.shape} and {outputs.shape}")
    if len(inputs) < 2:
        raise UserError(f"this analysis needs at least two predictions, for a lag of one, got {len(inputs)}")
    both = np.stack([inputs, outputs])
    if not np.issubdtype(both.dtype, np.integer) or both.min() < 0 or both.max() >= vocab_size:
        raise UserError(f"tokens must be ids of a vocabulary of {vocab_size}, got {both.min()} to {both.max()}")
    inputs, outputs = both.astype(np.int32)
    return inputs, outputs


def checked_carry(carry: Carry | None, initial: Carry) -> Carry:
    """Returns the carry in the types of the initial one, that one for None;
    UserError for another tree or other shapes."""
    if carry is None:
        return initial
    given, expected = (jax.tree.map(jnp.shape, c) for c in (carry, initial))
    # the trees too: a named tuple equals a plain one
    if given != expected or jax.tree.structure(carry) != jax.tree.structure(initial):
        raise UserError(f"the carry must have the shapes {expected}, got {given}")
    types = jax.tree.map(jnp.result_type, initial)
    return jax.tree.map(lambda a, t: a if jnp.result_type(a) == t else jnp.asarray(a, t), carry, types)


def checked_lag(max_lag: int | None, steps: int) -> int:
    """Returns the largest lag to measure, all of them, T - 1, for None; UserError for one that no prediction has."""
    largest = steps - 1 if max_lag is None else max_lag
    check_sizes(max_lag=largest)
    if largest >= steps:
        raise UserError(f"max_lag must be below the number of predictions, {steps}, got {largest}", ["max_lag"])
    return largest


def checked_layer(layer: int, layers: int) -> int:
    """Returns the layer, counted from 0 at the input; UserError for one that is not there. -1 is the top."""
    if not isinstance(layer, numbers.Integral) or not -layers <= layer < layers:
        raise UserError(f"layer must be from 0 to {layers - 1}, or -1 for the top, got {layer!r}", ["layer"])
    return int(layer) % layers


def checked_rising(name: str, numbers: Sequence[int]) -> tuple[int, ...]:
    """Returns the numbers as a tuple; UserError unless they are whole, at least 1 and rise. None at all rise too."""
    numbers = tuple(int(n) if isinstance(n, np.integer) else n for n in numbers)
    check_rising(name, numbers)
    return numbers


def check_finite(gradients: Sequence[np.ndarray]) -> None:
    """Raises UserError unless all of these arrays are numbers."""
    if not all(np.all(np.isfinite(np.asarray(a, np.float64))) for a in gradients):
        raise UserError(
            "this analysis needs gradients that are numbers, got NaN or infinite ones (has the model diverged?)"
        )
