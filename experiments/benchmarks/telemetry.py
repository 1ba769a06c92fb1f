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

from experiments.harness import Findings, Study, integer
from experiments.harness.runs import epoch_streams
from experiments.harness.timing import timed
from lm_jax.config import RecurrentConfig, TrainConfig
from lm_jax.data import load_corpus
from lm_jax.runs.setup import set_up
from lm_jax.tasks import task_of


STUDY = Study(__doc__, __file__, "The cost of telemetry", {"--rounds": integer(5)})
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


def findings(results: dict) -> Findings:
    """The answer and table."""
    found = results["results"]
    shares = ", ".join(f"{name} {row['share']:.2%}" for name, row in found.items())
    said = f"Telemetry every {results['steps_between']} steps takes these shares of the training time: {shares}."
    return Findings(said, results, [{"model": name, **row} for name, row in found.items()])


def run(arguments) -> Findings:
    """Measures every model."""
    every, rounds = (3, 2) if arguments.smoke else (EVERY, arguments.rounds)
    corpus = load_corpus()
    models = {"rnn 1x64": MODELS["rnn 1x64"]} if arguments.smoke else MODELS
    measured = {name: measure(model, corpus, every, rounds) for name, model in models.items()}
    return findings({"steps_between": every, "rounds": rounds, "results": measured})


if __name__ == "__main__":
    STUDY.main(run)
