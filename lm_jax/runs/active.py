"""An active run: a training with checkpoints, logs and a mirror, and what is done when it is over."""

import contextlib
import functools
import threading
import time
from pathlib import Path
from typing import Any

import jax

from lm_jax.config import to_dict
from lm_jax.runs.folder import RunFolder, read_lines
from lm_jax.runs.good_states import read_good_state
from lm_jax.runs.incident_report import write_report
from lm_jax.runs.journal import Journal
from lm_jax.runs.mirror import mirrored
from lm_jax.runs.results import Run, TrainResults
from lm_jax.runs.setup import Setup, count_parameters, start_of
from lm_jax.sealed_json import write_sealed
from lm_jax.tasks import Closing
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.training.history import History
from lm_jax.training.listener import Listener
from lm_jax.training.loop import Training
from lm_jax.training.loop_functions import LoopFunctions, ValidationStopped
from lm_jax.training.processes import on_first
from lm_jax.training.state import TrainState


class ActiveRun:
    """A run between its first step and its results; use as a context manager around the training.

    `training` is what somebody drives to its end, then `finish` closes the run. Setting `stopped` ends the training
    after the step at hand, or amid a validation, which is made when the run goes on.

    Args:
        setup: of the run.
        folder: where it writes.
        state: where it begins.
        history: of its validations so far.
        listener: hears its events.
        mirror: the folder of its copy, or None.
        stopped: ends the training; default: an event of its own. Several runs that end together share one.
    """

    def __init__(
        self,
        setup: Setup,
        folder: RunFolder,
        state: TrainState,
        history: History,
        listener: Listener,
        mirror: str | Path | None = None,
        stopped: threading.Event | None = None,
    ):
        self._setup, self._folder, self._mirror = setup, folder, mirror
        self._started, self._first_step = time.perf_counter(), int(state.step)
        self.stopped = threading.Event() if stopped is None else stopped
        label = setup.task.loss_label(setup.config)
        self.journal = Journal(folder, listener, self._first_step, label, setup.task.unit)
        self.training = Training(
            state,
            setup.batches,
            setup.plan,
            self._functions(),
            setup.learning_rate,
            listener=self.journal,
            history=history,
            devices=setup.devices,
        )

    def __enter__(self) -> "ActiveRun":
        setup, folder = self._setup, self._folder
        self.journal.on_start(start_of(setup, folder.path, self.training.state, self._mirror))
        with contextlib.ExitStack() as stack:
            mirror = self._mirror if folder.writes else None
            self._on_checkpoint = stack.enter_context(mirrored(folder.path, mirror))
            self._states = stack.enter_context(Checkpoints(folder.states))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def finish(self) -> Run:
        """Loads the best parameters, writes tables, pictures and results, and waits for the mirror."""
        setup, folder, state = self._setup, self._folder, self.training.state
        best_step, params, _ = self._states.load_best(state.evaluation_params)
        self._states.close()
        results = self._results(params, best_step)
        self._draw(results.closing.references)
        if folder.writes:
            write_sealed(folder.path / "results.json", results.to_json())
        self._stack.close()
        self.journal.on_end(results)
        return Run(folder.path, setup.model, params, setup.data.vocabulary, results)

    def _results(self, params, best_step):
        setup, folder, training = self._setup, self._folder, self.training
        step, finished = int(training.state.step), training.history.finished
        stopped = training.stopped_validating or (step < setup.plan.steps and not finished)
        closing = Closing() if stopped else self._close(params, step)
        seconds = time.perf_counter() - self._started
        folder.append(folder.times, {"step": step, "session_seconds": seconds, "from": self._first_step})
        return TrainResults(
            run=str(folder.path),
            step=step,
            stopped=stopped,
            finished_early=finished,
            parameters=count_parameters(params),
            best_step=best_step,
            seconds=sum(record.get("session_seconds", 0.0) for record in read_lines(folder.times)),
            closing=closing,
            command=setup.task.command,
            mirror=None if self._mirror is None else str(self._mirror),
            incidents=0 if training.state.incidents is None else int(training.state.incidents.skipped),
        )

    def _close(self, params, step):
        setup, progress = self._setup, self.journal.on_progress
        return setup.task.close(setup.config, setup.data, setup.model, params, self._key(step), progress)

    def _key(self, step):
        """Randomness of its own for texts to look at, so that training does not depend on them."""
        return jax.random.fold_in(jax.random.key(self._setup.config.seed), step)

    def _draw(self, references):
        self.journal.draw_losses(references)
        setup, folder = self._setup, self._folder
        if folder.writes and setup.task.telemetry is not None:
            setup.task.telemetry.draw(setup.config, read_lines(folder.metrics), folder.telemetry)

    def _functions(self):
        setup, task, config, folder = self._setup, self._setup.task, self._setup.config, self._folder
        data, model, local = setup.data, setup.model, setup.devices.local

        def progress(stage, done, total):
            if self.stopped.is_set() and jax.process_count() == 1:  # several would not stop at the same place
                raise ValidationStopped
            self.journal.on_progress(stage, done, total)

        def validate(params):
            return task.validate(config, data, model, local(params), progress)

        def save(state, history, valid_loss):
            vocabulary = None if data.vocabulary is None else data.vocabulary.sha256
            record = {"history": history.to_record(), "config": to_dict(config), "vocabulary": vocabulary}
            record["log"] = on_first(lambda: self.journal.digest)
            self._states.save(state, record, valid_loss, keep=(*history.good, history.last_resort))
            self._on_checkpoint()

        def sample(params, step):
            return task.sample(config, data.vocabulary, model, local(params), self._key(step))

        instrument = setup.measure

        def measure(step, params, grad_norm):
            assert instrument is not None
            return instrument(step, local(params), grad_norm)

        def examine(state, epoch, length, incident):
            return write_report(folder, setup, state, epoch, length, incident)

        return LoopFunctions(
            validate=validate,
            record=self.journal.record_validation,
            save=save,
            metrics=task.metrics,
            sample=sample,
            measure=None if instrument is None else measure,
            should_stop=self.stopped.is_set,
            examine=examine,
            read=functools.partial(read_good_state, setup, folder.states),
        )
