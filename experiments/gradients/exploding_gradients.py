"""What do exploding gradients do to training, and what does clipping do about it?

    python experiments/gradients/exploding_gradients.py     about 3 minutes on 2 CPU cores

1. A tanh RNN by character whose recurrent weights start orthogonal, or twice that, trained by SGD with learning rates
   1, 5 and 20: without clipping, with the norm of the gradient clipped at 0.25, and with every entry clipped at 0.01.
   How large gradients get, how often clipping acts, what becomes of the loss.
2. The cliff: the loss of one recurrent unit after 50 steps, over its two parameters, and two descents that meet it.
3. A relu RNN, trained at learning rate 5 with clipping, that diverges to infinity or NaN at 20 without it, and goes on
   from the checkpoint before as it was trained first.

Three seeds of every network; all losses are of the training batches, in nats per character.

Expected: at learning rate 20 the loss leaves that of the uniform model behind, upwards, without clipping, and falls
with it; at the smaller rate and orthogonal weights clipping hardly matters; both ways of clipping help, the norm's
keeps the direction. A step from the cliff lands far away, a clipped one stays. (Pascanu et al. 2013.)
"""

import functools
import itertools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.gradients.exploding_gradients_figures import RATES, SCALES, pictures
from experiments.harness import Findings, Study
from experiments.harness.rows import only, where, without
from experiments.harness.runs import epoch_streams
from lm_jax.config import RecurrentConfig, RNNConfig
from lm_jax.data import Batches, load_corpus
from lm_jax.models import from_config
from lm_jax.report.study import remember
from lm_jax.training import Checkpoints, build_train_steps, create_state, cross_entropy, text_source
from lm_jax.training.state import zero_totals


STUDY = Study(__doc__, __file__, "What do exploding gradients do to training?")
SEEDS = 3
NORM, VALUE = 0.25, 0.01
CLIPPING = {
    "no clipping": optax.identity(),
    f"norm at {NORM}": optax.clip_by_global_norm(NORM),
    f"entries at {VALUE}": optax.clip(VALUE),
}
BATCH, BPTT = 20, 50


def trainer(model, batches, rate: float, clip):
    """(state maker, step function) of SGD; the state maker scales the recurrent weights."""
    optimizer = optax.chain(clip, optax.sgd(rate))
    advance = build_train_steps(cross_entropy(model), batches, optimizer, clip=NORM)

    def create(seed, scale):
        state = create_state(model.init, batches, optimizer, seed)
        cell = state.params.cell
        return state.replace(params=state.params.replace(cell=cell.replace(w_h=cell.w_h * scale)))

    return create, advance


def follow(advance, state, streams, steps: int):
    """The state after some steps, and loss and gradient norm before clipping of each; ends where one is no number."""
    losses, norms = [], []
    for _ in range(steps):
        state = advance(state, streams, 1)
        totals = jax.tree.map(float, state.totals)
        losses.append(totals.nll / totals.tokens)
        norms.append(totals.grad_norm)
        state = state.replace(totals=zero_totals())
        if not math.isfinite(losses[-1] + norms[-1]):
            break
    return state, {"losses": losses, "norms": norms}


def grid(model, batches, streams, folder: Path, seeds: int, steps: int) -> list[dict]:
    """Every run of part 1."""
    found = []
    for rate, (clipping, clip) in itertools.product(RATES, CLIPPING.items()):
        create, advance = trainer(model, batches, rate, clip)
        for scale, seed in itertools.product(SCALES, range(seeds)):
            path = folder / f"{rate:g}-{clipping.replace(' ', '-')}-{scale:g}-{seed}.json"
            made = remember(path, lambda: follow(advance, create(seed, scale), streams, steps)[1])  # noqa: B023
            found.append({"learning_rate": rate, "clipping": clipping, "scale": scale, "seed": seed, **made})
    return found


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


def unit_loss(parameters, steps: int = 50):
    """(h - 0.7)^2 after some steps of h = sigmoid(w h + b) from 1/2: Pascanu et al. 2013, section 2.3."""
    w, b = parameters
    h = jax.lax.fori_loop(0, steps, lambda _, h: jax.nn.sigmoid(w * h + b), 0.5)
    return (h - 0.7) ** 2


def descend(start, rate: float, clip: float | None, steps: int):
    """Parameters of the unit along gradient descent."""

    def step(parameters, _):
        # forward mode: two parameters, and the loop has a fixed length
        gradient = jax.jacfwd(unit_loss)(parameters)
        if clip is not None:
            gradient = gradient * jnp.minimum(1, clip / jnp.linalg.norm(gradient))
        new = parameters - rate * gradient
        return new, (new, jnp.linalg.norm(gradient))

    path, norms = jax.lax.scan(step, jnp.asarray(start), None, length=steps)[1]
    return np.concatenate([[start], np.asarray(path)]), np.asarray(norms)


def surface(points: int, w, b) -> dict:
    """The loss and the norm of its gradient over a rectangle of parameters."""
    w, b = np.linspace(*w, points), np.linspace(*b, points)
    both = jnp.stack(jnp.meshgrid(jnp.asarray(w), jnp.asarray(b)), axis=-1).reshape(-1, 2)
    loss = np.asarray(jax.vmap(unit_loss)(both)).reshape(points, points)
    norm = np.linalg.norm(np.asarray(jax.vmap(jax.jacfwd(unit_loss))(both)), axis=-1)
    return {"w": w, "b": b, "loss": loss, "largest_norm": norm.max(), "median_norm": np.median(norm)}


def cliff(points: int) -> dict:
    """The surface, from afar and near the start, and two descents from the same point."""
    start, rate, clip = (4.3, -2.0), 0.2, 0.2
    (free, free_norms), (clipped, _) = (descend(start, rate, c, 80) for c in (None, clip))
    return {
        "far": surface(points, (3.0, 7.0), (-4.0, 3.0)),
        "near": surface(points, (4.0, 4.5), (-2.25, -1.85)),
        "learning_rate": rate,
        "clip": clip,
        "free": free,
        "free_norms": free_norms,
        "clipped": clipped,
        "end_losses": [float(unit_loss(free[-1])), float(unit_loss(clipped[-1]))],
    }


def recovery(corpus, folder: Path, steps: int, seed: int) -> dict:
    """A relu RNN trained with care; then without, until it diverges; and with it again, from the checkpoint before."""
    cell = RNNConfig(nonlinearity="relu", recurrence="scan")
    config = RecurrentConfig(cell=cell, hidden_size=64, embedding_size=32)
    model, batches, streams = prepare(config, corpus)
    (start, safe), (restart, unsafe) = (
        trainer(model, batches, rate, clip)
        for rate, clip in ((5.0, optax.clip_by_global_norm(NORM)), (20.0, optax.identity()))
    )
    state, before = follow(safe, start(seed, 1.0), streams, steps)
    with Checkpoints(folder / f"relu-{steps}-{seed}") as saved:
        saved.save(state, {}, before["losses"][-1])
        kept = {name: getattr(state, name) for name in ("params", "carry", "step", "position")}
        without = follow(unsafe, restart(seed, 1.0).replace(**kept), streams, steps)[1]
        state, _ = saved.restore_newest(start(seed, 1.0))
    return {"before": before, "without": without, "recovered": follow(safe, state, streams, steps)[1]}


def prepare(config, corpus):
    """The model, its batches, and the first epoch on the device."""
    model = from_config(config, len(corpus.vocabulary))
    batches = text_source(Batches(corpus.train, corpus.vocabulary.eol_id, BATCH, BPTT, "stream", 0), model)
    return model, batches, epoch_streams(batches)


def ends(rows, clipping: str, scale: float) -> dict[float, float]:
    """The median of the final losses over seeds, by learning rate."""
    own = {rate: where(rows, clipping=clipping, scale=scale, learning_rate=rate) for rate in RATES}
    return {rate: float(np.median([row["final_loss"] for row in found])) for rate, found in own.items()}


def better(rows, clipping: str, scale: float, uniform: float) -> str:
    """The learning rates at which the median final loss is below that of the uniform model."""
    rates = [f"{rate:g}" for rate, loss in ends(rows, clipping, scale).items() if loss < uniform]
    return " and ".join(rates) or "no rate"


def answer(rows, found, descents, uniform: float) -> str:
    """What was found, in one sentence made of the numbers."""
    losses = "; ".join(
        f"{', '.join(f'{loss:.3g}' for loss in ends(rows, clipping, 1.0).values())} with {clipping} (below the uniform "
        f"model's {uniform:.2f} at {better(rows, clipping, 1.0, uniform)}; of recurrent weights twice as large at "
        f"{better(rows, clipping, 2.0, uniform)})"
        for clipping in CLIPPING
    )
    acts = [row[f"share_of_norms_above_{NORM}"] for row in where(rows, clipping=list(CLIPPING)[1])]
    cliff_ends = descents["end_losses"]
    fates = [one["without"]["losses"][-1] is None or one["without"]["norms"][-1] is None for one in found]
    after = [len(one["without"]["losses"]) for one in found]
    last = [one["recovered"]["losses"][-1] for one in found]
    return (
        f"At learning rates {', '.join(f'{rate:g}' for rate in RATES)} a tanh RNN ends with a training loss of "
        f"{losses}; clipping by norm acts in {min(acts):.1%} to {max(acts):.0%} of the steps of a run, and norms of "
        f"the gradient reach {max(r['largest_gradient_norm'] for r in rows):.1e}; beside the cliff descent ends at a "
        f"loss of {cliff_ends[0]:.2g} without clipping and {cliff_ends[1]:.2g} with; and {sum(fates)} of {len(fates)} "
        f"relu RNNs are not a number within {max(after)} steps after the learning rate was set to 20 without clipping, "
        f"and are at {min(last):.2f} to {max(last):.2f} nats when they go on from the checkpoint before."
    )


def run(arguments) -> Findings:
    """Trains, descends, recovers."""
    folder = arguments.runs
    corpus = load_corpus()
    uniform = math.log(len(corpus.vocabulary))
    size, steps, seeds, points = (8, 4, 1, 30) if arguments.smoke else (100, 300, SEEDS, 200)
    config = RecurrentConfig(cell=RNNConfig(recurrence="scan"), hidden_size=size, embedding_size=size // 2)
    found = grid(*prepare(config, corpus), folder, seeds, steps)
    descents = remember(folder / "cliffs.json", functools.partial(cliff, points))
    recovered = [
        remember(folder / f"recovery-{seed}.json", functools.partial(recovery, corpus, folder, steps, seed))
        for seed in range(seeds)
    ]
    rows = [summarise(one, uniform) for one in found]
    # without the values that the picture is coloured by
    written = descents | {place: without(descents[place], "loss") for place in ("far", "near")}
    return Findings(
        answer=answer(rows, recovered, descents, uniform),
        results={"uniform_loss": uniform, "runs": found, "recovery": recovered, "cliff": written},
        rows=rows,
        pictures=pictures(found, descents, recovered, uniform),
        seeds=range(seeds),
    )


if __name__ == "__main__":
    STUDY.main(run)
