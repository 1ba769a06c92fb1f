"""A run with a flipped bit is loaded and resumed: what comes of it is as before, is announced, or is refused."""

import random
import shutil
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np

import lm_jax
from lm_jax import UserError
from lm_jax.config import to_dict
from lm_jax.runs.folder import read_lines, read_results
from tests.runs.toy import toy_config, write_corpus


SAME, TOLD, REFUSED = "the same", "other, with a warning", "refused in one line"


class Flip(NamedTuple):
    """A file of a run, and a bit of it."""

    path: Path
    bit: int


def make_run(folder: Path) -> Path:
    """Trains a run of 12 steps, whose best step is not the newest, with every kind of file."""
    config = toy_config(write_corpus(folder / "text"), steps=12, eval_every=4, checkpoint_every=5, log_every=3)
    return lm_jax.train(config, folder / "run").folder


def draw_flips(run: Path, number: int, seed: int) -> list[Flip]:
    """Draws bits of all files of a run: half of them evenly of all bits, half of them evenly of all files."""
    draw = random.Random(seed)
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.stat().st_size]
    sizes = [path.stat().st_size for path in files]
    chosen = draw.choices(files, sizes, k=number - number // 2) + draw.choices(files, k=number // 2)
    return [Flip(path, draw.randrange(8 * path.stat().st_size)) for path in chosen]


def ask(run: Path, flips: list[Flip], desk: Path) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Flips each bit in turn and puts both questions.

    Args:
        run: The run; it is as before when this returns.
        flips: The bits.
        desk: A folder for copies.

    Returns:
        How often each question came to each end; and the faults, which are other answers in silence, and tracebacks.
    """
    expected = {name: _try(question, run, desk)[1] for name, question in QUESTIONS.items()}
    ends: Counter[tuple[str, str]] = Counter()
    faults = []
    for flip in flips:
        content = flip.path.read_bytes()
        changed = bytearray(content)
        changed[flip.bit // 8] ^= 1 << flip.bit % 8
        flip.path.write_bytes(changed)
        for name, question in QUESTIONS.items():
            end, answer = _try(question, run, desk)
            if end == SAME and not _equal(answer, expected[name]):
                end = "OTHER IN SILENCE"
            ends[name, end] += 1
            if end not in (SAME, TOLD, REFUSED):
                faults.append(f"{name}: bit {flip.bit} of {flip.path.relative_to(run)}: {end}")
        flip.path.write_bytes(content)
    return ends, faults


def _try(question, run, desk):
    """The end of a question, and the answer."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            answer = question(run, desk)
        except UserError as error:
            return (REFUSED if str(error) and "\n" not in str(error) else f"lines: {error}"), None
        except Exception as error:
            return f"{type(error).__name__}: {error}", None
    return (TOLD if any("is damaged" in str(one.message) for one in said) else SAME), answer


def _load(run, desk):
    """All that a loaded run answers with."""
    trained = lm_jax.load(run)
    return _numbers(trained.params), trained.vocabulary, repr(trained.model)


def _resume(run, desk):
    """All that the steps of a resumed run begin with: from there on they depend on nothing else."""
    shutil.rmtree(desk / "copy", ignore_errors=True)
    shutil.copytree(run, desk / "copy")
    with mock.patch("lm_jax.runs.train._train") as train:
        lm_jax.resume(desk / "copy")
    setup, folder, state, history = train.call_args.args[:4]
    settings = to_dict(setup.config), setup.horizon, setup.data.vocabulary, setup.data.record
    return _numbers(state), history.to_record(), settings, read_lines(folder.metrics)


def _results(run, desk):
    """What the tables of runs are made of."""
    try:
        return {name: value for name, value in read_results(run).items() if name != "seconds"}
    except ValueError as error:  # which they say
        raise UserError(str(error)) from error


QUESTIONS = {"load": _load, "resume": _resume, "results": _results}


def _numbers(tree):
    def number(leaf):
        is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    return [(jax.tree_util.keystr(path), number(leaf)) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other
