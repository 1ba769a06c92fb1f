"""A new run that goes on from a chosen step of another under other settings: what one does after a divergence.

The other run stays as it is. The new one begins with its parameters, optimiser, carry and random numbers at that step,
and with its logs up to there; its config.json says where it came from. Without a change it is the other run, bit for
bit. The factors that non-finite steps had put on the learning rate and the clipping norm are 1 again.
"""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lm_jax.config import to_dict
from lm_jax.config.flat import flat_values
from lm_jax.errors import UserError
from lm_jax.files import write_text
from lm_jax.runs.folder import RunFolder, log_digest, read_lines
from lm_jax.runs.open import OpenedRun
from lm_jax.runs.setup import Setup, set_up
from lm_jax.strict_json import to_json
from lm_jax.training.checkpoints import Checkpoints, restore_step
from lm_jax.training.history import History
from lm_jax.training.processes import on_first
from lm_jax.training.saved_steps import find_steps
from lm_jax.training.state import TrainState


# beside what every resume may change
BRANCH_CHANGES = ("learning_rate", "clip", "on_nonfinite", "on_spike", "good_states")


class Branch(NamedTuple):
    """Where a new run begins. rank: the number that the step's validation ranks it by; None without one."""

    state: TrainState
    history: History
    rank: float | None


def check_step(opened: OpenedRun, step: int) -> None:
    """Raises UserError for a step that there is no whole checkpoint of."""
    steps = [saved.step for saved in find_steps(RunFolder(opened.path).states) if saved.damage is None]
    if step not in steps:
        have = f"which has {', '.join(map(str, steps))}" if steps else "which has none"
        raise UserError(
            f"from_step must be a step that the run has a checkpoint of, got {step} of {opened.path}, {have}"
        )


def read_branch(setup: Setup, opened: OpenedRun, step: int) -> Branch:
    """Reads a step of another run for a setup that may have another learning rate or clipping.

    Clipping has no state of its own, so that the optimiser's arrays are the same with and without it.

    Args:
        setup: The setup of the new run.
        opened: The other run.
        step: The number of the step.

    Raises:
        UserError: For a step that is not there or is damaged, and for another vocabulary.
    """
    before = dataclasses.replace(
        setup.config, optimizer=opened.config.optimizer, on_nonfinite=opened.config.on_nonfinite
    )
    template = set_up(setup.task, before, setup.data, setup.horizon, setup.devices).create()
    state, host, rank = restore_step(RunFolder(opened.path).states, template, step)
    opened.check_vocabulary(host)
    new: Any = setup.create()
    opt_state = jax.tree.unflatten(jax.tree.structure(new.opt_state), jax.tree.leaves(state.opt_state))
    fresh = {name: getattr(new.incidents, name) for name in ("in_a_row", "rate", "clip", "stopped", "due")}
    incidents: Any = state.incidents
    state = dataclasses.replace(state, opt_state=opt_state, incidents=incidents._replace(**fresh))
    history = History.from_record(host["history"])
    history.good, history.last_resort = [step], step  # the other run's are not in the new folder
    return Branch(state, history, rank)


def make_branch(folder: RunFolder, setup: Setup, opened: OpenedRun, branch: Branch) -> None:
    """Writes what a new run has before its first step: settings, vocabulary, logs.

    Args:
        folder: The folder of the new run.
        setup: Its setup.
        opened: The run that it begins from.
        branch: Where it begins.
    """
    step, vocabulary = int(branch.state.step), setup.data.vocabulary
    old, new = flat_values(opened.config), flat_values(setup.config)
    changed = {name: {"from": old[name], "to": new[name]} for name in new if old.get(name) != new[name]}
    origin = {"run": str(opened.path.resolve()), "step": step, "changed": changed}
    folder.create(
        setup.config, vocabulary, {"decay_horizon": setup.horizon, "corpus": setup.data.record, "from": origin}
    )
    lines = read_lines(RunFolder(opened.path).metrics)
    write_text(folder.metrics, "".join(to_json(record) + "\n" for record in lines), lasting=True)
    folder.cut_back(step, branch.history.unvalidated)


def save_branch(folder: RunFolder, setup: Setup, branch: Branch) -> None:
    """Saves the step that a new run begins with: it can be resumed from then on.

    Args:
        folder: The folder of the new run.
        setup: Its setup.
        branch: Where it begins.
    """
    vocabulary = None if setup.data.vocabulary is None else setup.data.vocabulary.sha256
    record = {"history": branch.history.to_record(), "config": to_dict(setup.config), "vocabulary": vocabulary}
    record["log"] = on_first(lambda: log_digest(read_lines(folder.metrics)).hexdigest())
    with Checkpoints(Path(folder.states)) as states:
        states.save(branch.state, record, branch.rank)
