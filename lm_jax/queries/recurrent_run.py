"""Loading a run whose gradients through time are asked for: it needs a recurrent network."""

from lm_jax.analysis.checks import checked_layer
from lm_jax.errors import UserError
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_loaded


def opened_of(model):
    """Returns the model opened at its hidden states; None for a model without a recurrent network."""
    return model if hasattr(model, "hidden") else None


def load_recurrent(run: RunLike, layer: int, cell: UserCell | None = None) -> tuple[LoadedRun, int]:
    """The run with its model, and the layer counted from the input.

    layer: 0 is nearest to the input, -1 the top. Raises UserError for a model without a recurrent network, and for a
    layer that it does not have.
    """
    run = as_loaded(run, cell)
    if opened_of(run.model) is None:
        raise UserError(
            f"gradients through time need a recurrent network, got a {run.task.family(run.config)} model ({run.run})"
        )
    return run, checked_layer(layer, run.config.model.layers)
