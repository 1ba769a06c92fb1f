"""What the runs of exploding_gradients.py say."""

import math
from typing import Any

import numpy as np

from experiments.gradients.cliff import PLACES, surface
from experiments.gradients.exploding_gradients_figures import (
    CLIPPED,
    ENTRIES,
    FREE,
    NORM,
    RATES,
    SCALES,
    draw_cliff,
    draw_healed,
    draw_losses,
    draw_recovery,
)
from experiments.harness import Findings, Verdict
from experiments.harness.means import RANGE, means, percent, seeds_of, with_range
from experiments.harness.rows import only, where
from lm_jax.report.study import Picture


POINTS = 200  # of the surface on each axis
MATTERS, LEAVES, STAYS = 0.5, 1.0, 0.5  # nats; distances in the plane of parameters
COLUMNS = {
    "learning_rate": "of SGD",
    "clipping": "of the gradient: none, of its norm, or of every entry",
    "scale": "of the recurrent weights at the start: orthogonal, or so many times that",
    "seed": "of the draw of weights and batches",
    "n": "runs",
    "final_loss": "mean training loss of the last 20 steps (nats per character); median over seeds" + RANGE,
    "largest_loss": "largest training loss of a step (nats per character)",
    "largest_gradient_norm": "largest norm of the gradient before clipping",
    "median_gradient_norm": "median of the same",
    f"share_of_norms_above_{NORM}": "share of the steps at which clipping by norm acts or would act",
    "step_of_divergence": "first step with a loss above 1.5 times that of the uniform model; - where there is none",
}


def summarise(one: dict, uniform: float) -> dict:
    """A row: how the run ended, the largest gradient, and how often its norm was above what the norm is clipped at.

    step_of_divergence: the first at which the loss is above 1.5 times that of the uniform model.
    """
    losses, norms = (np.array([np.inf if x is None else x for x in one[name]]) for name in ("losses", "norms"))
    above = np.flatnonzero(~(losses[1:] < 1.5 * uniform))
    return {
        **only(one, ("learning_rate", "clipping", "scale", "seed")),
        "final_loss": float(losses[-20:].mean()),
        "largest_loss": float(losses.max()),
        "largest_gradient_norm": float(norms.max()),
        "median_gradient_norm": float(np.median(norms)),
        f"share_of_norms_above_{NORM}": float(np.mean(norms > NORM)),
        "step_of_divergence": int(above[0]) + 2 if len(above) else None,
    }


def findings(results: dict[str, Any]) -> Findings:
    """What the runs say."""
    uniform, found, descents = results["uniform_loss"], results["runs"], results["cliff"]
    rows, recovered = [summarise(one, uniform) for one in found], results["recovery"]
    shown = descents | {place: descents[place] | surface(POINTS, *ranges) for place, ranges in PLACES.items()}
    middle = RATES[1]
    free, clipped = (ends(rows, clipping, 1.0)[middle] for clipping in (FREE, CLIPPED))
    title = f"At learning rate {middle:g} an RNN ends at {free:.0f} nats without clipping, at {clipped:.1f} with it"
    far, near = (longest_step(descents[name]) for name in ("free", "clipped"))
    lost = sum(_is_lost(one["without"]) for one in recovered)
    seeds = len(recovered)
    pictures = [
        Picture(
            "losses",
            draw_losses(found, uniform, title),
            f"Median of {seeds_of(seeds)}, bands: their range; recurrent weights start orthogonal.",
        ),
        Picture(
            "cliff",
            draw_cliff(shown, f"A step from the cliff goes {far:.1f} away; clipped, {near:.2f} at most"),
            "One recurrent unit, 50 steps: two descents from the star, 80 steps each; the one without clipping leaves "
            "the right picture, and stays where it lands.",
        ),
        Picture(
            "recovery",
            draw_recovery(recovered, f"{lost} of {seeds} networks lose their training to large steps, and get it back"),
            "relu RNNs, a line a seed; the losses of their first steps are above the end of the axis.",
        ),
    ]
    healed = results.get("healed", [])
    if healed:
        pictures.append(_picture_of(healed))
    of = {name: with_range for name in ("final_loss", "largest_loss", "largest_gradient_norm")}
    of |= {f"share_of_norms_above_{NORM}": lambda v: with_range(v, percent)}
    return Findings(
        title=title,
        answer=f"At learning rate {middle:g} a tanh RNN ends at {free:.0f} nats per character without clipping, and at "
        f"{clipped:.1f} with the gradient's norm clipped.",
        verdicts=[*verdicts(rows, descents, uniform), verdict_of_healed(healed, uniform)],
        means=means(rows, ("learning_rate", "scale", "clipping"), of),
        rows=rows,
        columns=COLUMNS,
        pictures=pictures,
        seeds=range(seeds),
    )


def _picture_of(healed):
    backs = [_backs(one) for one in healed]
    reports = sum(one["reports"] for one in healed)
    return Picture(
        "healed",
        draw_healed(
            healed, f"Runs made to explode go back {_range(backs)} times and end at {max(_last(healed)):.1f} nats"
        ),
        f"relu RNNs, Adam at 0.3 without clipping, {seeds_of(len(healed))}; {reports} reports of incidents.",
    )


def _last(healed) -> list[float]:
    """The last validation loss of each run."""
    last = [one["validations"][-1][1] for one in healed]
    return [math.inf if loss is None else loss for loss in last]


def _backs(one) -> int:
    return sum(incident["back_to"] is not None for incident in one["incidents"])


def _range(numbers) -> str:
    return f"{min(numbers)} to {max(numbers)}" if min(numbers) < max(numbers) else f"{min(numbers)}"


def verdict_of_healed(healed, uniform: float) -> Verdict:
    """Whether every run that exploded ended with a model that is of use."""
    expected = (
        "runs that explode at 60 times the learning rate go back by themselves and end below half the uniform loss"
    )
    if not healed:
        return Verdict(expected, "no such run", None)
    largest, backs = max(_last(healed)), [_backs(one) for one in healed]
    found = f"{largest:.2f} nats at most, uniform {uniform:.2f}; back {_range(backs)} times"
    return Verdict(expected, found, all(backs) and largest < uniform / 2)


def _is_lost(run) -> bool:
    return run["losses"][-1] is None or run["norms"][-1] is None


def longest_step(path) -> float:
    """The longest step of a descent, in the plane of the two parameters."""
    return float(np.linalg.norm(np.diff(np.array(path), axis=0), axis=1).max())


def ends(rows, clipping: str, scale: float) -> dict[float, float]:
    """The median of the final losses over seeds, by learning rate."""
    own = {rate: where(rows, clipping=clipping, scale=scale, learning_rate=rate) for rate in RATES}
    return {rate: float(np.median([row["final_loss"] for row in found])) for rate, found in own.items()}


def verdicts(rows, descents, uniform: float) -> list[Verdict]:
    """The parts of the expectation."""
    largest, smallest = RATES[-1], RATES[0]
    free = [row["final_loss"] for row in where(rows, clipping=FREE, learning_rate=largest)]
    clipped = [ends(rows, clipping, scale)[largest] for clipping in (CLIPPED, ENTRIES) for scale in SCALES]
    mild = {clipping: ends(rows, clipping, 1.0)[smallest] for clipping in (FREE, CLIPPED, ENTRIES)}
    apart = max(abs(mild[FREE] - mild[clipping]) for clipping in (CLIPPED, ENTRIES))
    helped = [ends(rows, c, 1.0)[rate] < ends(rows, FREE, 1.0)[rate] for c in (CLIPPED, ENTRIES) for rate in RATES]
    far, near = (longest_step(descents[name]) for name in ("free", "clipped"))
    return [
        Verdict(
            f"at learning rate {largest:g} the loss leaves that of the uniform model upwards without clipping",
            f"{min(free):.0f} nats at least, uniform {uniform:.2f}",
            min(free) > uniform,
        ),
        Verdict(
            "and falls below it with clipping (medians)",
            f"{min(clipped):.1f} to {max(clipped):.1f} nats",
            max(clipped) < uniform,
        ),
        Verdict(
            f"at learning rate {smallest:g} and orthogonal weights clipping hardly matters (within {MATTERS} nats)",
            f"{apart:.1f} nats apart",
            apart < MATTERS,
        ),
        Verdict(
            "both ways of clipping help (lower median at every rate)", f"{sum(helped)} of {len(helped)}", all(helped)
        ),
        Verdict(
            f"a step from the cliff lands far away (over {LEAVES:g}), a clipped one stays (under {STAYS:g})",
            f"longest step {far:.1f}, clipped {near:.2f}",
            far > LEAVES and near < STAYS,
        ),
    ]
