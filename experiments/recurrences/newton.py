"""When can a nonlinear recurrence run in parallel over time? Newton's iterations against the largest Lyapunov exponent.

    python experiments/recurrences/newton.py     2 minutes of processor time

RNN, GRU and LSTM with states of 32 numbers read noise. Their recurrent weights, orthogonal as the library draws them,
are multiplied by 0.4 to 10, which takes the largest Lyapunov exponent from where the network forgets at once to chaos.
The exponent is the laboratory's, over 2,048 steps; the iterations are those of `unroll_parallel` with whole Jacobians,
from a guess of zeros to a residual at rounding, in float64, for the first 128 and 512 of these steps, three draws of
weights and inputs.

Expected: the number of iterations rises sharply where the exponent crosses 0 (Gonzalez et al. 2025, arXiv:2508.16817):
below it is small and hardly depends on the number of steps, of the order of its logarithm; above it is of the order of
the number of steps, so that nothing is gained.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import Study
from experiments.recurrences.newton_findings import findings
from lm_jax.analysis.lyapunov import lyapunov_spectrum
from lm_jax.cells import gru, lstm, rnn, unroll_parallel


STUDY = Study(__doc__, __file__)
INPUTS = 8
GAINS = (0.4, 0.6, 0.9, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)


class Setting(NamedTuple):
    """Sizes of a run; `state` counts the numbers of a carry, of which an LSTM's are two a unit."""

    state: int
    steps: tuple[int, ...]
    exponent_steps: int
    discarded_steps: int
    gains: tuple[float, ...]
    seeds: int


def measured(name, cell, setting):
    """A row for every seed, gain and number of steps."""

    @jax.jit
    def exponent(params, carry, xs):
        discard = setting.discarded_steps
        return lyapunov_spectrum(lambda s, x: cell.step(params, s, x)[0], carry, xs, count=1, discard=discard)[0]

    @jax.jit
    def solved(params, carry, xs):
        unrolled = unroll_parallel(cell, params, carry, xs, max_iterations=len(xs))
        return unrolled.iterations, unrolled.residual

    for seed in range(setting.seeds):
        drawn = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), cell.init(jax.random.key(seed)))
        xs = jnp.asarray(np.random.default_rng(seed).normal(size=(setting.exponent_steps, INPUTS)))
        for gain in setting.gains:
            params = drawn.replace(w_h=gain * drawn.w_h)
            carry = cell.initial_carry(params, ())
            found = float(exponent(params, carry, xs))
            for steps in setting.steps:
                iterations, residual = solved(params, carry, xs[:steps])
                row = {"cell": name, "seed": seed, "gain": gain, "steps": steps, "exponent": found}
                yield row | {"iterations": int(iterations), "residual": float(residual)}


def run(arguments) -> dict:
    """Measures every cell; a run is short, and starts anew each time."""
    jax.config.update("jax_enable_x64", True)
    whole = Setting(32, (128, 512), 2048, 128, GAINS, 3)
    setting = Setting(8, (16, 32), 64, 16, (0.5, 1.0, 8.0), 1) if arguments.smoke else whole
    state = setting.state
    cells = {"rnn": rnn(INPUTS, state), "gru": gru(INPUTS, state), "lstm": lstm(INPUTS, state // 2)}
    rows = [row for name, cell in cells.items() for row in measured(name, cell, setting)]
    return {"setting": setting._asdict(), "rows": rows}


if __name__ == "__main__":
    STUDY.main(run, findings)
