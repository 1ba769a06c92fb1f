"""What do eight seeds cost beside one?

    python experiments/benchmarks/seeds.py     about 2 minutes on 2 CPU cores

Training steps of a 2x200 LSTM over 10,000 words (batch 20, 35 steps, no dropout, SGD): of one run, of eight in turn,
and of eight as one vmapped program. By turns in one process, a few steps at a time; minima and medians over --rounds.

Expected: on a CPU that one run fills, in turn costs at most eight times one run, and vmapped somewhat more.
"""

from experiments.benchmarks.peers.ours import training
from experiments.benchmarks.peers.work import Step
from experiments.harness import Findings, Study, Verdict, integer
from experiments.harness.figures import bars
from experiments.harness.timing import by_turns, medians, minima, stepper
from lm_jax.machine import reuse_memory
from lm_jax.report.study import Picture
from lm_jax.training.side_by_side import in_turn, vmapped


STUDY = Study(__doc__, __file__, {"--rounds": integer(6)})
WORK = Step(2, 200, 10_000, False, 0.0, 20, 35)
SMOKE_WORK = Step(1, 8, 12, False, 0.0, 2, 3)
STEPS = 2  # of a turn


def prepare(work: Step, make, count: int):
    """A function that trains `count` runs for some steps and returns milliseconds a step of all of them."""
    train_steps, streams, create = training(work)
    step = stepper(make(train_steps), [create(seed) for seed in range(count)])
    return lambda: 1e3 * step([streams] * count, STEPS, None) / STEPS


COLUMNS = {
    "way": "one run; several runs one after the other (in turn); several as one program (vmapped)",
    "minimum_ms": "least time of a training step of all runs, over the rounds (ms)",
    "median_ms": "median of the same (ms)",
    "times_one": "least time as a multiple of that of one run",
}


def findings(results: dict) -> Findings:
    """What the times say."""
    seeds, times = results["seeds"], results["times_one"]
    turn, vmapped_ = times["in turn"], times["vmapped"]
    rows = [{"way": way, **{name: results[name][way] for name in list(COLUMNS)[1:]}} for way in times]
    better = (
        "one program is no faster than runs in turn" if vmapped_ >= turn else "one program is faster than runs in turn"
    )
    title = f"Training {seeds} seeds on a CPU: {better}"
    return Findings(
        title=title,
        answer=f"{seeds} seeds cost {turn:.1f} times one run when trained in turn, and {vmapped_:.1f} times as one "
        "vmapped program.",
        verdicts=[
            Verdict(
                "in turn costs at most as many times one run as there are seeds", f"{turn:.2f} times", turn <= seeds
            ),
            Verdict("vmapped costs somewhat more", f"{vmapped_:.2f} times", vmapped_ > turn),
        ],
        means=rows,
        rows=rows,
        columns=COLUMNS,
        pictures=[Picture("seeds", bars(times, title, "time of a step, as a multiple of one run"), f"{title}.")],
        seeds=range(seeds),
    )


def run(arguments) -> dict:
    """Measures the three ways by turns."""
    reuse_memory()
    work, seeds, rounds = (SMOKE_WORK, 2, 1) if arguments.smoke else (WORK, 8, arguments.rounds)
    ways = {"one": (in_turn, 1), "in turn": (in_turn, seeds), "vmapped": (vmapped, seeds)}
    times = by_turns({name: prepare(work, make, count) for name, (make, count) in ways.items()}, rounds)
    least = minima(times)
    return {
        "work": work._asdict(),
        "seeds": seeds,
        "minimum_ms": least,
        "median_ms": medians(times),
        "times_one": {name: value / least["one"] for name, value in least.items()},
    }


if __name__ == "__main__":
    STUDY.main(run, findings)
