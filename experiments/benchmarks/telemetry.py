"""What does telemetry cost beside the training that it watches?

    python experiments/benchmarks/telemetry.py     about 5 minutes on 2 CPU cores

The telemetry of `lm-jax train --telemetry-every 200` is one call every 200 steps. Both are timed in one process by
turns: a dispatch of 200 training steps, then one measurement of the parameters that it leaves; the median over
--rounds counts. Compilation is apart: it is paid once a run. The default character model (LSTM 1x256), a GRU and a
simple RNN of 64 units, whose steps are short, and a stack of two layers.

Expected: less than 5 % of the training time for every model.
"""

import statistics

import jax.numpy as jnp

from experiments.harness import Findings, Study, Verdict, integer
from experiments.harness.figures import bars
from experiments.harness.rows import only
from experiments.harness.runs import epoch_streams
from experiments.harness.timing import timed
from lm_jax.config import RecurrentConfig, TrainConfig
from lm_jax.data import load_corpus
from lm_jax.report.study import Picture
from lm_jax.runs.setup import set_up
from lm_jax.tasks import task_of


STUDY = Study(__doc__, __file__, {"--rounds": integer(5)})
EVERY = 200
MODELS = {
    "lstm 1x256": RecurrentConfig(),
    "gru 1x64": RecurrentConfig(cell="gru", hidden_size=64),
    "rnn 1x64": RecurrentConfig(cell="rnn", hidden_size=64),
    "lstm 2x128": RecurrentConfig(hidden_size=128, layers=2),
}


def measure(model, corpus, every, rounds):
    """Times of one model in seconds."""
    config = TrainConfig(model=model, telemetry_every=every, steps=every * (rounds + 1))
    setup = set_up(task_of(config), config, corpus, config.steps)
    state, streams = setup.create(), epoch_streams(setup.batches)
    compile_training, state = timed(lambda: setup.train_steps(state, streams, 1))
    first_telemetry, _ = timed(lambda: setup.measure(0, state.params, 1.0))
    training, telemetry = [], []
    for _ in range(rounds):
        # stay in the epoch whose streams these are
        state = state.replace(step=jnp.zeros((), int), position=jnp.zeros((), int))
        took, state = timed(lambda state=state: setup.train_steps(state, streams, every))
        training.append(took)
        telemetry.append(timed(lambda state=state: setup.measure(0, state.params, 1.0))[0])
    return {
        "training_seconds": statistics.median(training),
        "telemetry_seconds": statistics.median(telemetry),
        "share": statistics.median(telemetry) / statistics.median(training),
        "largest_share": max(b / a for a, b in zip(training, telemetry, strict=True)),
        "first_step_seconds": compile_training,
        "first_telemetry_seconds": first_telemetry,
    }


COLUMNS = {
    "model": "cell, layers x units",
    "share": "median time of a measurement as a share of that of the training steps between two",
    "largest_share": "the largest of that share over the rounds",
    "training_seconds": "median time of the training steps between two measurements (s)",
    "telemetry_seconds": "median time of a measurement (s)",
    "first_step_seconds": "the first training step, with its compilation (s)",
    "first_telemetry_seconds": "the first measurement, with its compilation (s)",
}
MOST = 0.05


def findings(results: dict) -> Findings:
    """What the times say."""
    rows = [{"model": name, **row} for name, row in results["results"].items()]
    shares = [row["share"] for row in rows]
    title = f"Telemetry costs at most {max(shares):.1%} of the training time"
    percents = {row["model"]: 100 * row["share"] for row in rows}
    picture = bars(percents, title, "time of telemetry (% of the training time)")
    return Findings(
        title=title,
        answer=f"Telemetry every {results['steps_between']} steps takes {min(shares):.1%} to {max(shares):.1%} of the "
        "training time, once it is compiled.",
        verdicts=[Verdict("less than 5 % for every model", f"at most {max(shares):.1%}", max(shares) < MOST)],
        means=[only(row, list(COLUMNS)[:5]) for row in rows],
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("telemetry", picture, f"{title}; medians over {results['rounds']} rounds.")],
    )


def run(arguments) -> dict:
    """Measures every model."""
    every, rounds = (3, 2) if arguments.smoke else (EVERY, arguments.rounds)
    corpus = load_corpus()
    models = {"rnn 1x64": MODELS["rnn 1x64"]} if arguments.smoke else MODELS
    measured = {name: measure(model, corpus, every, rounds) for name, model in models.items()}
    return {"steps_between": every, "rounds": rounds, "results": measured}


if __name__ == "__main__":
    STUDY.main(run, findings)
