"""What do exploding gradients do to training, and what does clipping do about it?

    python experiments/exploding_gradients.py             about 3 minutes on 2 CPU cores
    python experiments/exploding_gradients.py --smoke     seconds; numbers mean nothing

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

Writes a JSON, a CSV, pictures and report.html in --out (default: experiments/results/exploding_gradients). Finished
parts are kept in --runs and are not computed again.
"""

import argparse
import functools
import itertools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

import lm_jax
from lm_jax.data.batching import Batches, Streams
from lm_jax.report.study import Picture, remember, write_study
from lm_jax.report.style import SERIES, clean
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.training.losses import cross_entropy
from lm_jax.training.state import build_train_steps, create_state, zero_totals


SCALES, RATES, SEEDS = (1.0, 2.0), (1.0, 5.0, 20.0), 3
NORM, VALUE = 0.25, 0.01
CLIPPING = {
    "no clipping": (optax.identity(), SERIES[4]),
    f"norm at {NORM}": (optax.clip_by_global_norm(NORM), SERIES[0]),
    f"entries at {VALUE}": (optax.clip(VALUE), SERIES[2]),
}
BATCH, BPTT = 20, 50


def trainer(model, batches, rate: float, clip):
    """(state maker, step function) of SGD; the state maker scales the recurrent weights."""
    optimizer = optax.chain(clip, optax.sgd(rate))
    advance = build_train_steps(
        model, cross_entropy(model), optimizer, bptt=BPTT, steps_per_epoch=batches.steps_per_epoch, clip=NORM
    )

    def create(seed, scale):
        state = create_state(model, optimizer, BATCH, seed)
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
    for rate, (clipping, (clip, _)) in itertools.product(RATES, CLIPPING.items()):
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
        **{name: one[name] for name in ("learning_rate", "clipping", "scale", "seed")},
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
    config = lm_jax.ModelConfig(cell="rnn", recurrence="scan", nonlinearity="relu", hidden_size=64, embedding_size=32)
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
    model = lm_jax.from_config(config, len(corpus.vocabulary))
    batches = Batches(corpus.train, corpus.vocabulary.eol_id, BATCH, BPTT, "stream", 0)
    return model, batches, jax.tree.map(jnp.asarray, Streams(*batches.epoch(0)))


def draw_losses(found, uniform: float):
    """A panel a learning rate: the loss by step, a colour a way of clipping, dashed for larger recurrent weights.

    Lines are medians over seeds, bands their range.
    """
    figure = Figure(figsize=(12.0, 4.4), layout="constrained")
    for axes, rate in zip(figure.subplots(1, len(RATES), sharey=True), RATES, strict=True):
        for (clipping, (_, colour)), scale in itertools.product(CLIPPING.items(), SCALES):
            own = [f for f in found if (f["learning_rate"], f["clipping"], f["scale"]) == (rate, clipping, scale)]
            length = min(len(f["losses"]) for f in own)
            losses = np.array([[np.inf if x is None else x for x in f["losses"][:length]] for f in own])
            style = "-" if scale == 1 else "--"
            steps = np.arange(1, length + 1)
            axes.plot(steps, np.median(losses, axis=0), style, color=colour, linewidth=1.3)
            axes.fill_between(steps, losses.min(0), losses.max(0), color=colour, alpha=0.12, linewidth=0)
        axes.axhline(uniform, color="0.4", linewidth=0.8, linestyle=":")
        axes.set_yscale("log")
        axes.set_title(f"learning rate {rate:g}", loc="left")
        axes.set_xlabel("step")
        clean(axes)
    figure.axes[0].set_ylabel("training loss (nats per character)")
    figure.axes[0].annotate("uniform", (0, uniform), (2, 2), textcoords="offset points", fontsize=8, color="0.35")
    handles = [figure.axes[0].plot([], [], color=colour, label=name)[0] for name, (_, colour) in CLIPPING.items()]
    handles += [figure.axes[0].plot([], [], "--", color="0.4", label="recurrent weights x 2")[0]]
    figure.legend(handles=handles, loc="outside upper right", ncols=4, frameon=False)
    return figure


def draw_cliff(found):
    """The loss over the two parameters, from afar and near the start, and the two descents."""
    figure = Figure(figsize=(11.5, 4.6), layout="constrained")
    outline = [Stroke(linewidth=3.5, foreground="white"), Normal()]
    for axes, place in zip(figure.subplots(1, 2), ("far", "near"), strict=True):
        area = found[place]
        image = axes.pcolormesh(
            area["w"], area["b"], area["loss"], cmap="gray", norm=LogNorm(1e-6, 0.5), rasterized=True
        )
        for name, label, colour in (("free", "no clipping", SERIES[4]), ("clipped", "norm clipped", SERIES[0])):
            path = np.array(found[name])
            axes.plot(
                path[:, 0],
                path[:, 1],
                "o-",
                color=colour,
                markersize=4,
                label=label,
                linewidth=1.5,
                path_effects=outline,
            )
        axes.plot(*found["free"][0], "*", color="white", markeredgecolor="black", markersize=14)
        axes.set_xlim(area["w"][0], area["w"][-1])
        axes.set_ylim(area["b"][0], area["b"][-1])
        axes.set_xlabel("recurrent weight w")
    figure.axes[0].set_ylabel("bias b")
    figure.axes[0].set_title("from afar", loc="left")
    figure.axes[1].set_title("near the start", loc="left")
    figure.colorbar(image, ax=figure.axes, label="loss after 50 steps (squared error)")
    figure.axes[0].legend(loc="upper left")
    return figure


def draw_recovery(found):
    """Loss by step, a line a seed: before the checkpoint, after it without clipping, and after it with."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    at, colours = len(found[0]["before"]["losses"]), (SERIES[0], SERIES[4], SERIES[2])
    for one, (name, colour) in itertools.product(found, zip(("before", "without", "recovered"), colours, strict=True)):
        losses = np.array([np.nan if x is None else x for x in one[name]["losses"]])
        steps = np.arange(1, len(losses) + 1) + (0 if name == "before" else at)
        axes.plot(steps, losses, color=colour, linewidth=1.2)
        if np.isnan(losses[-1]):
            axes.plot(steps[-2], losses[-2], "x", color=colour, markersize=8)
    axes.axvline(at + 0.5, color="0.4", linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("training loss (nats per character)")
    for (x, y, text, side), colour in zip(
        (
            (0.09, 0.14, "learning rate 5, norm clipped", "left"),
            (0.47, 0.6, "learning rate 20, no clipping\n(cross: then not a number)", "right"),
            (0.52, 0.14, "from the checkpoint on, as before it", "left"),
        ),
        colours,
        strict=True,
    ):
        axes.text(x, y, text, color=colour, ha=side, fontsize=9, transform=axes.transAxes)
    clean(axes)
    return figure


def ends(rows, clipping: str, scale: float) -> dict[float, float]:
    """The median of the final losses over seeds, by learning rate."""
    own = [row for row in rows if (row["clipping"], row["scale"]) == (clipping, scale)]
    return {rate: float(np.median([r["final_loss"] for r in own if r["learning_rate"] == rate])) for rate in RATES}


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
    acts = [r[f"share_of_norms_above_{NORM}"] for r in rows if r["clipping"] == list(CLIPPING)[1]]
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


def pictures(found, descents, recovered, uniform: float) -> list[Picture]:
    """All figures."""
    seeds = f"Median of {len(recovered)} seed(s), bands: their range"
    return [
        Picture("losses", draw_losses(found, uniform), f"{seeds}; a line ends where the loss is no number."),
        Picture(
            "cliff",
            draw_cliff(descents),
            "One recurrent unit, 50 steps: two descents from the star, 80 steps each; the one without clipping leaves "
            "the right picture, and stays where it lands.",
        ),
        Picture(
            "recovery",
            draw_recovery(recovered),
            "relu RNNs, a line a seed, that lose their training to large steps, and get it back from a checkpoint.",
        ),
    ]


def without_surfaces(descents: dict) -> dict:
    """What of the cliff is written: all but the values that the picture is coloured by."""
    return {
        name: {n: v for n, v in value.items() if n != "loss"} if isinstance(value, dict) else value
        for name, value in descents.items()
    }


def main() -> None:
    """Trains, draws, writes, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "exploding_gradients")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/exploding_gradients"))
    arguments = parser.parse_args()
    folder = arguments.runs / ("smoke" if arguments.smoke else "full")
    corpus = lm_jax.load_corpus()
    uniform = math.log(len(corpus.vocabulary))
    size, steps, seeds, points = (8, 4, 1, 30) if arguments.smoke else (100, 300, SEEDS, 200)
    config = lm_jax.ModelConfig(cell="rnn", recurrence="scan", hidden_size=size, embedding_size=size // 2)
    found = grid(*prepare(config, corpus), folder, seeds, steps)
    descents = remember(folder / "cliffs.json", functools.partial(cliff, points))
    recovered = [
        remember(folder / f"recovery-{seed}.json", functools.partial(recovery, corpus, folder, steps, seed))
        for seed in range(seeds)
    ]
    rows = [summarise(one, uniform) for one in found]
    said = answer(rows, recovered, descents, uniform)
    write_study(
        arguments.out,
        "exploding_gradients",
        title="What do exploding gradients do to training?",
        question=__doc__.splitlines()[0],
        expected=__doc__.split("Expected: ")[1].split("\n\n")[0].replace("\n", " "),
        answer=said,
        command="python experiments/exploding_gradients.py" + (" --smoke" if arguments.smoke else ""),
        results={"uniform_loss": uniform, "runs": found, "recovery": recovered, "cliff": without_surfaces(descents)},
        rows=rows,
        figures=pictures(found, descents, recovered, uniform),
    )
    print(said)
    print(
        f"{'rate':>5} {'clipping':<16} {'scale':>5} {'seed':>4} {'end':>8} {'largest norm':>12} "
        f"{'norm > ' + str(NORM):>11}"
    )
    for row in rows:
        print(
            f"{row['learning_rate']:>5g} {row['clipping']:<16} {row['scale']:>5g} {row['seed']:>4} "
            f"{row['final_loss']:>8.3f} {row['largest_gradient_norm']:>12.3g} "
            f"{row[f'share_of_norms_above_{NORM}']:>11.0%}"
        )


if __name__ == "__main__":
    main()
