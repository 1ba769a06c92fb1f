"""Chains of kills: a run that is killed, resumed, killed again, ... and at last compared with one that never was."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.kills.dying import run_command
from tests.kills.watch import STAGES, Death, Place
from tests.runs.toy import assert_equal_runs, write_corpus


STEPS = 24
SETTINGS = "--hidden-size 6 --embedding-size 3 --batch-size 4 --bptt 6 --dropout 0.2 --schedule constant --lr 0.01"
SETTINGS += f" --steps {STEPS} --checkpoint-every 4 --eval-every 8 --log-every 2"
CHAIN = 3  # kills of one run
MACHINE_GONE = 0.3  # the share of kills after which only the mirror is left
WRITE, COMPUTATION = (
    0.02,
    0.3,
)  # seconds from an operation to a death: within what is written or computed without Python


class Kill(NamedTuple):
    """A kill: when it came, and whether only the mirror was left of the run."""

    death: Death
    from_mirror: bool


class Straight(NamedTuple):
    """The run that is never killed, and how many operations each stage of it has."""

    run: Path
    operations: dict[str, int]


def make_place(desk: Path) -> Place:
    """Returns a folder with a text, in which a run can be made."""
    (desk / "drive").mkdir(parents=True)
    write_corpus(desk / "text")
    return Place(desk.resolve(), "checkpoints/run", "drive", STEPS)


def run_straight(desk: Path) -> Straight:
    """Trains the run that is never killed, in a new folder."""
    place = make_place(desk)
    code, printed, operations = run_command(place, _begin(place))
    assert code == 0 and set(STAGES) <= operations.keys(), (printed, operations)
    return Straight(place.desk / place.run, operations)


def run_chain(straight: Straight, desk: Path, stages: list[str], draw: random.Random) -> list[Kill]:
    """Kills a run once for each stage, resumes it each time, and compares what comes out, bit for bit.

    Args:
        straight: The run that was never killed.
        desk: A new folder.
        stages: Of the kills.
        draw: Chooses the operations.

    Returns:
        The kills that came; a run that ends before its next one is not killed any more.
    """
    place, kills, code = make_place(desk), [], -9
    for stage in stages:
        death = _draw_death(straight, stage, _newest(place), draw)
        code, printed, _ = run_command(place, _next(place), death)
        assert code in (0, -9), printed
        if code == 0:
            break
        lost = draw.random() < MACHINE_GONE
        if lost:
            shutil.rmtree(place.desk / "checkpoints", ignore_errors=True)
        kills.append(Kill(death, lost))
    if code:
        code, printed, _ = run_command(place, _next(place))
        assert code == 0, printed
    for folder in (place.desk / place.run, place.desk / place.drive / "run"):
        assert_equal_runs(folder, straight.run, STEPS)
        for part in ("states", "states.checksums"):
            assert sorted(os.listdir(folder / part)) == sorted(os.listdir(straight.run / part))
        assert not [path for path in folder.iterdir() if path.suffix in (".part", ".copying", ".removing")]
    shutil.rmtree(desk)
    return kills


def kill_many(desk: Path, number: int, seed: int, report: Callable[[list[Kill]], None] = lambda kills: None) -> int:
    """Kills runs in chains, in every stage in turn, until so many kills have come; returns how many there were.

    Args:
        desk: An empty folder.
        number: Of kills.
        seed: Of what is drawn.
        report: Is called with the kills of each chain that came out equal.
    """
    straight, draw, done, waiting = run_straight(desk / "straight"), random.Random(seed), 0, list[str]()
    while done < number:
        while len(waiting) < CHAIN:
            waiting += draw.sample(STAGES, len(STAGES))
        stages = sorted(waiting[: min(CHAIN, number - done)], key=STAGES.index)
        kills = run_chain(straight, desk / "chain", stages, draw)
        for kill in kills:
            waiting.remove(kill.death.stage)
        if not kills:
            waiting.append(waiting.pop(0))
        done += len(kills)
        report(kills)
    return done


def _draw_death(straight, stage, newest, draw):
    """A moment of a stage that a run with a checkpoint of step `newest` is likely to come to."""
    left = 1.0 if stage in ("start", "closing table") else max(0.0, 1 - newest / STEPS)
    number = draw.randint(1, max(1, int(left * straight.operations[stage])))
    return Death(stage, number, draw.choice((0.0, draw.uniform(0, WRITE), draw.uniform(0, COMPUTATION))))


def _newest(place):
    states = place.desk / place.run / "states"
    return max((int(name) for name in os.listdir(states) if name.isdecimal()), default=0) if states.is_dir() else 0


def _begin(place):
    return ["train", "--data", "text", *SETTINGS.split(), "--run", place.run, "--mirror", place.drive]


def _next(place):
    """The command that a user gives: to go on in the run's folder, from its mirror, or anew if there is no run yet."""
    for run in (place.run, f"{place.drive}/run"):
        if all((place.desk / run / name).exists() for name in ("config.json", "vocabulary.json")):
            return ["train", "--resume", run, "--mirror", place.drive]
    for run in (place.run, f"{place.drive}/run"):
        shutil.rmtree(place.desk / run, ignore_errors=True)  # half begun
    return _begin(place)
