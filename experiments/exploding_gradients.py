"""What do exploding gradients do to training, and what does clipping do about it?

    python experiments/exploding_gradients.py             about 3 minutes on 2 CPU cores
    python experiments/exploding_gradients.py --smoke     seconds; numbers mean nothing

1. A tanh RNN by character whose recurrent weights start orthogonal, or twice that, trained by SGD with learning rates
   1, 5 and 20: without clipping, with the norm of the gradient clipped at 0.25, and with every entry clipped at 0.01.
   How large gradients get, how often clipping acts, what becomes of the loss.
2. The cliff: the loss of one recurrent unit after 50 steps, over its two parameters, and two descents that meet it.
3. A relu RNN, trained at learning rate 5 with clipping, that diverges to infinity or NaN at 20 without it, and goes on
   from the checkpoint before as it was trained first.

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
    """A row: how the run ended, the largest gradient, and how often a norm was above the threshold."""
    losses, norms = (np.array([np.inf if x is None else x for x in one[name]]) for name in ("losses", "norms"))
    above = np.flatnonzero(~(losses[1:] < 1.5 * uniform))
    return {
        **{name: one[name] for name in ("learning_rate", "clipping", "scale", "seed")},
        "final_loss": float(losses[-20:].mean()),
        "largest_loss": float(losses.max()),
        "largest_gradient_norm": float(norms.max()),
        "median_gradient_norm": float(np.median(norms)),
        "share_of_steps_above_the_threshold": float(np.mean(norms > NORM)),
        "step_of_divergence": int(above[0]) + 2 if len(above) else None,  # loss 1.5 times that of the uniform model
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


def cliff(points: int) -> dict:
    """The surface, its gradient norms, and two descents from the same point."""
    w, b = np.linspace(3.5, 5.5, points), np.linspace(-3.0, -1.5, points)
    both = jnp.stack(jnp.meshgrid(jnp.asarray(w), jnp.asarray(b)), axis=-1).reshape(-1, 2)
    loss = np.asarray(jax.vmap(unit_loss)(both)).reshape(points, points)
    norm = np.linalg.norm(np.asarray(jax.vmap(jax.jacfwd(unit_loss))(both)), axis=-1).reshape(points, points)
    start, rate, clip = (4.3, -2.0), 0.2, 0.2
    (free, free_norms), (clipped, _) = (descend(start, rate, c, 80) for c in (None, clip))
    return {
        "w": w,
        "b": b,
        "loss": loss,
        "largest_norm": norm.max(),
        "median_norm": np.median(norm),
        "learning_rate": rate,
        "clip": clip,
        "free": free,
        "free_norms": free_norms,
        "clipped": clipped,
        "end_losses": [float(unit_loss(free[-1])), float(unit_loss(clipped[-1]))],
    }


def recovery(corpus, folder: Path, steps: int) -> dict:
    """A relu RNN trained with care; then without, until it diverges; and with it again, from the checkpoint before."""
    config = lm_jax.ModelConfig(cell="rnn", nonlinearity="relu", hidden_size=64, embedding_size=32)
    model, batches, streams = prepare(config, corpus)
    (start, safe), (restart, unsafe) = (
        trainer(model, batches, rate, clip)
        for rate, clip in ((5.0, optax.clip_by_global_norm(NORM)), (20.0, optax.identity()))
    )
    state, before = follow(safe, start(0, 1.0), streams, steps)
    with Checkpoints(folder / f"relu-{steps}") as saved:
        saved.save(state, {}, before["losses"][-1])
        kept = {name: getattr(state, name) for name in ("params", "carry", "step", "position")}
        without = follow(unsafe, restart(0, 1.0).replace(**kept), streams, steps)[1]
        state, _ = saved.restore_newest(start(0, 1.0))
    return {"before": before, "without": without, "recovered": follow(safe, state, streams, steps)[1]}


def prepare(config, corpus):
    """The model, its batches, and the first epoch on the device."""
    model = lm_jax.from_config(config, len(corpus.vocabulary))
    batches = Batches(corpus.train, corpus.vocabulary.eol_id, BATCH, BPTT, "stream", 0)
    return model, batches, jax.tree.map(jnp.asarray, Streams(*batches.epoch(0)))


def draw_losses(found, uniform: float):
    """A panel a learning rate: the loss by step, a colour a way of clipping, dashed for larger recurrent weights."""
    figure = Figure(figsize=(12.0, 4.4), layout="constrained")
    for axes, rate in zip(figure.subplots(1, len(RATES), sharey=True), RATES, strict=True):
        for (clipping, (_, colour)), scale in itertools.product(CLIPPING.items(), SCALES):
            own = [f for f in found if (f["learning_rate"], f["clipping"], f["scale"]) == (rate, clipping, scale)]
            length = min(len(f["losses"]) for f in own)
            losses = np.array([[np.inf if x is None else x for x in f["losses"][:length]] for f in own])
            style = "-" if scale == 1 else "--"
            axes.plot(np.arange(1, length + 1), np.median(losses, axis=0), style, color=colour, linewidth=1.3)
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
    """The loss over the two parameters, and the two descents."""
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    axes = figure.add_subplot()
    image = axes.pcolormesh(
        found["w"], found["b"], found["loss"], cmap="cividis", norm=LogNorm(1e-4, 0.5), rasterized=True
    )
    figure.colorbar(image, ax=axes, label="loss after 50 steps (squared error)")
    for name, label, colour, marker in (
        ("free", "no clipping", SERIES[4], "o"),
        ("clipped", "norm clipped", "white", "."),
    ):
        path = np.array(found[name])
        axes.plot(path[:, 0], path[:, 1], marker + "-", color=colour, markersize=3, linewidth=0.9, label=label)
    axes.plot(*found["free"][0], "*", color="white", markeredgecolor="black", markersize=14)
    axes.set_xlim(found["w"][0], found["w"][-1])
    axes.set_ylim(found["b"][0], found["b"][-1])
    axes.set_xlabel("recurrent weight w")
    axes.set_ylabel("bias b")
    axes.legend(loc="upper right", facecolor="0.3", labelcolor="white", framealpha=0.9)
    return figure


def draw_recovery(found):
    """Loss by step: before the checkpoint, after it without clipping, and after it with."""
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    at = len(found["before"]["losses"])
    for name, label, colour in (
        ("before", "learning rate 5, norm clipped", SERIES[0]),
        ("without", "20, no clipping, from the checkpoint on", SERIES[4]),
        ("recovered", "from the checkpoint as before", SERIES[2]),
    ):
        losses = np.array([np.nan if x is None else x for x in found[name]["losses"]])
        steps = np.arange(1, len(losses) + 1) + (0 if name == "before" else at)
        axes.plot(steps, losses, color=colour, linewidth=1.4, label=label)
        if len(losses) < at:
            seen = np.flatnonzero(np.isfinite(losses))[-1]
            axes.plot(steps[seen], losses[seen], "x", color=colour, markersize=10)
            axes.annotate(
                "not a number", (steps[seen], losses[seen]), (8, -3), textcoords="offset points", color=colour
            )
    axes.axvline(at + 0.5, color="0.4", linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("training loss (nats per character)")
    axes.legend(frameon=False)
    clean(axes)
    return figure


def answer(rows, found, surface, uniform: float) -> str:
    """What was found, in one sentence made of the numbers."""

    def span(rate, clipping, field):
        values = [
            r[field] for r in rows if r["learning_rate"] == rate and r["clipping"] == clipping and r["scale"] == 1
        ]
        return f"{min(values):.3g}-{max(values):.3g}"

    none, norm = list(CLIPPING)[:2]
    losses = ", ".join(
        f"{span(rate, none, 'final_loss')} without clipping and {span(rate, norm, 'final_loss')} with, "
        f"at learning rate {rate:g}"
        for rate in RATES
    )
    cliff_ = surface["end_losses"]
    steps, end = len(found["without"]["losses"]), found["without"]["losses"][-1]
    diverged = end is None or found["without"]["norms"][-1] is None
    fate = f"is not a number {steps} steps after" if diverged else f"has a loss of {end:.3g} {steps} steps after"
    fate += " the learning rate was set to 20 without clipping"
    return (
        f"A tanh RNN ends with a training loss of {losses} (uniform model: {uniform:.2f} nats), norms of the gradient "
        f"reach {max(r['largest_gradient_norm'] for r in rows):.1e}; beside the cliff descent ends at a loss of "
        f"{cliff_[0]:.2g} without clipping and {cliff_[1]:.2g} with; and a relu RNN {fate}, and is at "
        f"{found['recovered']['losses'][-1]:.2f} nats when it goes on from the checkpoint before."
    )


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
    size = 8 if arguments.smoke else 100
    config = lm_jax.ModelConfig(cell="rnn", hidden_size=size, embedding_size=size // 2)
    steps = 4 if arguments.smoke else 300
    found = grid(*prepare(config, corpus), folder, 1 if arguments.smoke else SEEDS, steps)
    surface = remember(folder / "cliff.json", functools.partial(cliff, 30 if arguments.smoke else 300))
    recovered = remember(folder / "recovery.json", functools.partial(recovery, corpus, folder, steps))
    rows = [summarise(one, uniform) for one in found]
    seeds = f"Median of {1 if arguments.smoke else SEEDS} seeds"
    write_study(
        arguments.out,
        "exploding_gradients",
        title="What do exploding gradients do to training?",
        question=__doc__.splitlines()[0],
        expected=__doc__.split("Expected: ")[1].split("\n\n")[0].replace("\n", " "),
        answer=answer(rows, recovered, surface, uniform),
        command="python experiments/exploding_gradients.py" + (" --smoke" if arguments.smoke else ""),
        results={
            "uniform_loss": uniform,
            "recovery": recovered,
            "cliff": {k: v for k, v in surface.items() if k != "loss"},
        },
        rows=rows,
        figures=[
            Picture("losses", draw_losses(found, uniform), f"{seeds}; a line ends where the loss is no number."),
            Picture("cliff", draw_cliff(surface), "One recurrent unit, 50 steps: two descents from the star."),
            Picture(
                "recovery",
                draw_recovery(recovered),
                "A relu RNN that loses its training to large steps, and gets it back from a checkpoint.",
            ),
        ],
    )
    print(answer(rows, recovered, surface, uniform))
    print(
        f"{'rate':>5} {'clipping':<16} {'scale':>5} {'seed':>4} {'end':>8} {'largest norm':>12} "
        f"{'norm > ' + str(NORM):>11}"
    )
    for row in rows:
        print(
            f"{row['learning_rate']:>5g} {row['clipping']:<16} {row['scale']:>5g} {row['seed']:>4} "
            f"{row['final_loss']:>8.3f} {row['largest_gradient_norm']:>12.3g} "
            f"{row['share_of_steps_above_the_threshold']:>11.0%}"
        )


if __name__ == "__main__":
    main()
