"""The report of a step that was no number: RUN/incident-N, with all that it was computed from, and where it began.

    config.json, vocabulary.json, states/     a run folder: its parameters, optimiser and carry before the step
    batch.npz                                 the batch and the carry by name, and the key of dropout
    incident.json                             step, fault, and the first number that was none
    show.py                                   reads them and computes it again

N is the step. Nothing in it is a pickle. Since such a step is not applied, the state after it has what it began with.
"""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lm_jax.files import replacing, write_text
from lm_jax.runs.folder import RunFolder
from lm_jax.runs.open import open_run
from lm_jax.runs.setup import Setup
from lm_jax.strict_json import read_json, write_json
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.training.diagnosis import Finding, find_by_row, find_in_state, named_arrays
from lm_jax.training.listener import Incident
from lm_jax.training.state import TrainState
from lm_jax.training.step_names import aside


MOST = 3  # reports in a run: the rest are lines of metrics.jsonl
SHOW = '''"""Shows the first number that was none at step {step} of a training: python show.py"""

import json
from pathlib import Path

from lm_jax.runs.incident_report import replay

folder = Path(__file__).resolve().parent
print("recorded:", json.loads((folder / "incident.json").read_text())["found"])
print("computed again:", replay(folder))
'''


class Step(NamedTuple):
    """What a step was computed from: the arrays of an epoch cut to its batch, the carry that it begins with, a key."""

    carry: Any
    batch: Any
    key: Any


def step_of(setup: Setup, state: TrainState, epoch: Any, length: int, made: bool) -> Step:
    """Makes anew what a step was computed from.

    Args:
        setup: The setup of the run.
        state: Its state after the step.
        epoch: The arrays of the epoch.
        length: Steps of the chunk.
        made: Whether the step counts as one of the state, though it was not applied.
    """
    per_epoch = setup.batches.steps_per_epoch
    number = int(state.step) - made
    start = int(state.position) - length if made else (0 if number % per_epoch == 0 else int(state.position))
    local = setup.devices.local
    epoch, carry = (jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), tree) for tree in (epoch, state.carry))
    carry, batch = setup.batches.batch(local(state.params), epoch, carry, jnp.asarray(start), length)
    return Step(carry, batch, jax.random.fold_in(state.key, number))


def diagnose(setup: Setup, state: TrainState, step: Step) -> Finding | None:
    """Finds the first number that was none in a step.

    Args:
        setup: The setup of the run.
        state: Its state after the step.
        step: What the step was computed from.
    """
    local = setup.devices.local
    params = local(state.params)
    found = find_in_state({"batch": step.batch, "params": params, "opt_state": state.opt_state, "carry": step.carry})
    task: Any = setup.task
    if found is None and task.diagnose is not None:
        found = task.diagnose(setup.model, params, step.carry, named_arrays(step.batch))
    elif found is not None and task.diagnose is not None:
        inside = task.diagnose(setup.model, params, step.carry, named_arrays(step.batch))
        if inside is not None:
            where = {name: getattr(inside, name) for name in ("row", "layer", "time", "gates")}
            found = found._replace(tensor=f"{found.tensor}, first seen in {inside.tensor}", **where)
    return find_by_row(task.loss(setup.config, setup.model), params, *step) if found is None else found


def write_report(
    folder: RunFolder, setup: Setup, state: TrainState, epoch: Any, length: int, incident: Incident
) -> tuple[str, str]:
    """Writes the report of a step that was not applied.

    Args:
        folder: The folder of the run.
        setup: Its setup.
        state: Its state after the step.
        epoch: The arrays of the epoch.
        length: Steps of the chunk.
        incident: What is known of the step.

    Returns:
        The folder of the report and the finding in words; "" twice where there are enough reports already, and in a run
        of several processes, whose arrays no one has.
    """
    path = folder.path / f"incident-{incident.step}"
    if not folder.writes or jax.process_count() > 1:
        return "", ""
    words = _found_before(path)
    if words is not None:  # of the same step, before a resume
        return str(path), words
    if len(list(folder.path.glob("incident-*"))) >= MOST:
        return "", ""
    step = step_of(setup, state, epoch, length, made=incident.fault != "state")
    found = diagnose(setup, state, step)
    words = "" if found is None else found.words
    if path.exists():  # what is left of a damaged report
        path.rename(aside(path))
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for file in (folder.config, folder.vocabulary):
        if file.is_file():
            shutil.copyfile(file, part / file.name)
    with Checkpoints(part / "states") as states:
        states.save(state, {"incident": incident.step}, None)
    arrays = {f"batch.{name}": array for name, array in named_arrays(step.batch).items()}
    arrays |= {f"carry.{name}": array for name, array in named_arrays(step.carry).items()}
    with replacing(part / "batch.npz") as file:
        savez: Any = np.savez  # its stubs take a keyword of their own for one of these
        savez(file, key=np.asarray(jax.random.key_data(step.key)), **arrays)
    write_text(part / "show.py", SHOW.format(step=incident.step))
    write_json(part / "incident.json", {**_numbers(incident), "found": words, "finding": found})
    part.rename(path)
    return str(path), words


def _found_before(path):
    """The finding of a report in words; None where there is no report that can be read."""
    try:
        words = read_json(path / "incident.json")["found"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return words if isinstance(words, str) else None


def _numbers(incident):
    """Of JSON, which has no inf and no nan: a word in the place of such a number."""
    values = {name: value for name, value in incident._asdict().items() if name not in ("report", "found")}
    return {n: v if not isinstance(v, float) or np.isfinite(v) else str(v) for n, v in values.items()}


def replay(folder: str | Path) -> str:
    """Reads a report and finds the first number that was none anew, from what lies in it."""
    opened = open_run(folder)
    model, params = opened.load()
    with np.load(Path(folder) / "batch.npz", allow_pickle=False) as file:
        arrays = {name: jnp.asarray(file[name]) for name in file.files}
    batch, carry = (
        {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        for start in ("batch.", "carry.")
    )
    found = find_in_state({"batch": batch, "params": params, "carry": carry})
    if opened.task.diagnose is not None:
        initial: Any = getattr(model, "initial_carry", lambda *_: ())
        structure = jax.tree.structure(jax.eval_shape(lambda: initial(params, next(iter(batch.values())).shape[1:2])))
        inside = opened.task.diagnose(model, params, jax.tree.unflatten(structure, list(carry.values())), batch)
        found = inside if inside is not None else found
    return "all numbers are finite without the optimiser and dropout" if found is None else found.words
