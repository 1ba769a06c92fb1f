"""What do eight seeds cost beside one?

    python experiments/benchmarks/seeds.py     about 2 minutes on 2 CPU cores

Training steps of a 2x200 LSTM over 10,000 words (batch 20, 35 steps, no dropout, SGD): of one run, of eight in turn,
and of eight as one vmapped program. By turns in one process, a few steps at a time; minima and medians over --rounds.

Expected: on a CPU that one run fills, in turn costs at most eight times one run, and vmapped somewhat more.
"""

from experiments.benchmarks.peers.ours import training
from experiments.benchmarks.peers.work import Step
from experiments.harness import Findings, Study, integer
from experiments.harness.timing import by_turns, medians, minima, stepper
from lm_jax.machine import reuse_memory
from lm_jax.training.side_by_side import in_turn, vmapped


STUDY = Study(__doc__, __file__, "Eight seeds beside one", {"--rounds": integer(6)})
WORK = Step(2, 200, 10_000, False, 0.0, 20, 35)
SMOKE_WORK = Step(1, 8, 12, False, 0.0, 2, 3)
STEPS = 2  # of a turn


def prepare(work: Step, make, count: int):
    """A function that trains `count` runs for some steps and returns milliseconds a step of all of them."""
    train_steps, streams, create = training(work)
    step = stepper(make(train_steps), [create(seed) for seed in range(count)])
    return lambda: 1e3 * step([streams] * count, STEPS, None) / STEPS


def findings(results: dict) -> Findings:
    """The answer and table."""
    columns, seeds = ("minimum_ms", "median_ms", "times_one"), results["seeds"]
    rows = [{"way": way, **{name: results[name][way] for name in columns}} for way in results["times_one"]]
    times = ", ".join(f"{way} {value:.2f}" for way, value in results["times_one"].items() if way != "one")
    return Findings(f"{seeds} seeds cost so many times one: {times}.", results, rows, seeds=range(seeds))


def run(arguments) -> Findings:
    """Measures the three ways by turns."""
    reuse_memory()
    work, seeds, rounds = (SMOKE_WORK, 2, 1) if arguments.smoke else (WORK, 8, arguments.rounds)
    ways = {"one": (in_turn, 1), "in turn": (in_turn, seeds), "vmapped": (vmapped, seeds)}
    times = by_turns({name: prepare(work, make, count) for name, (make, count) in ways.items()}, rounds)
    least = minima(times)
    return findings(
        {
            "work": work._asdict(),
            "seeds": seeds,
            "minimum_ms": least,
            "median_ms": medians(times),
            "times_one": {name: value / least["one"] for name, value in least.items()},
        }
    )


if __name__ == "__main__":
    STUDY.main(run)
