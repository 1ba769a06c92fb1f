"""What do exploding gradients do to training, and what does clipping do about it?

    python experiments/gradients/exploding_gradients.py     about 4 minutes on 2 CPU cores

1. A tanh RNN by character whose recurrent weights start orthogonal, or twice that, trained by SGD with learning rates
   1, 5 and 20: without clipping, with the norm of the gradient clipped at 0.25, and with every entry clipped at 0.01.
   How large gradients get, how often clipping acts, what becomes of the loss.
2. The cliff: the loss of one recurrent unit after 50 steps, over its two parameters, and two descents that meet it.
3. A relu RNN, trained at learning rate 5 with clipping, that diverges to infinity or NaN at 20 without it, and goes on
   from the checkpoint before as it was trained first.
4. The same network, trained by `lm-jax train` with Adam at the learning rate 0.3 without clipping, 60 times the usual
   one: it explodes, and the run goes back to good states with half the learning rate each time, by itself.

Three seeds of every network; all losses are of the training batches, in nats per character, but those of part 4, which
are of the validation text.

Expected: at learning rate 20 the loss leaves that of the uniform model behind, upwards, without clipping, and falls
with it; at the smaller rate and orthogonal weights clipping hardly matters; both ways of clipping help, the norm's
keeps the direction. A step from the cliff lands far away, a clipped one stays. (Pascanu et al. 2013.) The runs of
part 4 end below half the loss of the uniform model.
"""

import functools
import itertools
import math
from pathlib import Path

import jax
import optax

from experiments.gradients.cliff import cliff
from experiments.gradients.exploding_gradients_figures import CLIPPED, ENTRIES, FREE, NORM, RATES, SCALES, VALUE
from experiments.gradients.exploding_gradients_findings import findings
from experiments.gradients.exploding_gradients_healed import healed
from experiments.harness import Study
from experiments.harness.rows import without
from experiments.harness.runs import epoch_streams
from lm_jax.config import RecurrentConfig, RNNConfig
from lm_jax.data import Batches, load_corpus
from lm_jax.models import from_config
from lm_jax.report.study import remember
from lm_jax.training import Checkpoints, build_train_steps, create_state, cross_entropy, text_source
from lm_jax.training.state import zero_totals


STUDY = Study(__doc__, __file__)
SEEDS = 3
CLIPPING = {
    FREE: optax.identity(),
    CLIPPED: optax.clip_by_global_norm(NORM),
    ENTRIES: optax.clip(VALUE),
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


def run(arguments) -> dict:
    """Trains, descends, recovers, and lets runs recover by themselves."""
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
    by_themselves = [
        remember(folder / f"healed-{seed}.json", lambda: healed(folder / f"healed-{seed}", seed, arguments.smoke))  # noqa: B023
        for seed in range(seeds)
    ]
    # without the values that the picture is coloured by: they are computed again
    written = descents | {place: without(descents[place], "loss") for place in ("far", "near")}
    return {"uniform_loss": uniform, "runs": found, "recovery": recovered, "healed": by_themselves, "cliff": written}


if __name__ == "__main__":
    STUDY.main(run, findings)
