"""Loading a run whose states, or their gradients through time, are asked for: it needs a recurrent network."""

from typing import Any, NamedTuple

from lm_jax.analysis.checks import checked_layer
from lm_jax.errors import UserError
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_language_model


def opened_of(model: Any) -> Any:
    """Returns the model opened at its hidden states; None for a model without a recurrent network."""
    return getattr(model, "opened", None)


class RecurrentRun(NamedTuple):
    """A run, its model opened at its hidden states, and the layer that is asked for, counted from the input."""

    run: LoadedRun
    opened: Any
    layer: int


def load_recurrent(
    run: RunLike, layer: int, cell: UserCell | None = None, what: str = "gradients through time"
) -> RecurrentRun:
    """Loads the run with its model opened.

    Args:
        run: The folder of a run, or a run that is loaded.
        layer: 0 is nearest to the input, -1 the top.
        cell: The user's own cell that the run was trained with.
        what: What is asked for, in the plural.

    Returns:
        The run, with the layer counted from the input.

    Raises:
        UserError: For a model without a recurrent network, and for a layer that it does not have.
    """
    run = as_language_model(run, cell)
    opened = opened_of(run.model)
    if opened is None:
        raise UserError(f"{what} need a recurrent network, got {run.task.name(run.config)} ({run.run})")
    return RecurrentRun(run, opened, checked_layer(layer, run.config.model.layers))
