"""DropConnect on recurrent weights (Wan et al. 2013; Merity et al. 2018): a change of the parameters before the unroll.

The same weights are absent at every step of a call, so the loop over time is the cell's own. Evaluation (no key),
`step` and `observe` use the parameters as they are.
"""

import jax

from lm_jax.caching import cached
from lm_jax.cells.base import Cell
from lm_jax.errors import UserError, check_rate
from lm_jax.layers import dropout


@cached
def drop_connect(cell: Cell, rate: float) -> Cell:
    """Makes the cell with a share `rate` of the entries of `w_h` dropped, and the others divided by 1 - rate.

    Raises UserError for a rate outside [0, 1); in `unroll`, for a cell whose parameters have no field `w_h`.
    """
    check_rate("weight_drop", rate)
    if rate == 0.0:
        return cell

    def unroll(params, carry, xs, *, mask=None, reset=None, key=None):
        if key is not None:
            if not hasattr(params, "w_h"):
                raise UserError(f"DropConnect needs parameters with a field w_h, got {type(params).__name__}")
            key_weights, key = jax.random.split(key)
            params = params.replace(w_h=dropout(key_weights, rate, params.w_h))
        return cell.unroll(params, carry, xs, mask=mask, reset=reset, key=key)

    return cell._replace(unroll=unroll)
