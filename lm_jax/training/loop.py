"""The training loop: advances a state, and calls functions at the steps of a plan.

Between two reports nothing is fetched from the device but a scalar that says a dispatch is done. Validations,
reports, checkpoints and stops happen at steps that depend on the configuration only, so a run that was stopped and
resumed does the same things at the same steps as one that never was.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lm_jax.training.batch_source import BatchSource
from lm_jax.training.devices import ONE_DEVICE, Devices
from lm_jax.training.divergence import Diverged, check_loss, check_state
from lm_jax.training.epochs import Epochs, equal_lengths
from lm_jax.training.good_states import GoodStates
from lm_jax.training.history import History
from lm_jax.training.incident import (
    applied_steps,
    as_divergence,
    count,
    incident_since,
    is_due,
    mean_grad_norm,
    rate_factor,
    with_new_sums,
    without_numbers,
)
from lm_jax.training.listener import Incident, Listener, Report, Rollback, Validation
from lm_jax.training.loop_functions import LoopFunctions, StepsRequest, ValidationStopped
from lm_jax.training.meter import Meter
from lm_jax.training.plan import Plan, after_validation
from lm_jax.training.processes import on_first, smallest
from lm_jax.training.recovery import has_exploded
from lm_jax.training.rollback import hold, leave_out
from lm_jax.training.state import TrainState, TrainStepsFn


class Training:
    """One training from a state to the plan's last step, until patience runs out, or until asked to stop.

    `request` says which steps come next, whoever does them gives the new state to `accept`; so several trainings can
    go side by side. Fewer steps may have been done, such as up to an incident: then the next request asks for the rest.
    `request` returns None when the training is over: the last state is then saved. A validation that is broken off is
    made when the training goes on (`stopped_validating`). Both raise Diverged where it cannot go on; the checkpoints
    before stay. After a rollback the steps are those since the state that was put back, one by
    one; what was told of them is not told again.

    Args:
        state: where it begins.
        batches: the batch source.
        plan: when to do what.
        functions: what it calls.
        learning_rate: of a step, for reports.
        listener: hears reports, telemetry and validations.
        history: of the validations before.
        devices: where the steps are done.
    """

    def __init__(
        self,
        state: TrainState,
        batches: BatchSource,
        plan: Plan,
        functions: LoopFunctions,
        learning_rate: Callable[[int], Any],
        *,
        listener: Listener | None = None,
        history: History | None = None,
        devices: Devices = ONE_DEVICE,
    ):
        self.state, self.history = state, history or History()
        self._batches, self._plan, self._functions = batches, plan, functions
        self._learning_rate = learning_rate
        self._listener = Listener() if listener is None else listener
        self._step, self._meter, self._length = int(state.step), Meter(), 0
        self._epochs = Epochs(batches, devices)
        self._number, self._epoch, self._lengths = None, None, np.zeros(0, int)
        self._known = count(state)
        self._good = GoodStates(self.history, plan.good_states, functions.read)
        self._held, self._before = hold(state), None  # the newest state that was looked at; that before a step
        self._good.hold(self._held)
        self._due_at = -1  # the last step after which it was to go back
        self.stopped_validating = False
        self._reached, self._heard, self._rollbacks = 0, 0, 0  # the step to come back to; the last told of; in a row

    def request(self) -> StepsRequest | None:
        """Returns the steps to do next; None at the end, where the last state has been saved."""
        if self.history.unvalidated and not self._functions.should_stop():
            self._validate()
        most = 0
        if self._step < self._plan.steps and not self.history.finished:
            most = smallest(0 if self._functions.should_stop() else self._meter.count)
        if most == 0:
            return None if self._close() else self.request()
        per_epoch = self._batches.steps_per_epoch
        until = self._enter(self._step)
        again = self._step < self._reached
        self._before = hold(self.state) if again else None
        wanted = min(self._plan.next_stop(self._step, per_epoch) - self._step, until, 1 if again else most)
        wanted, length = equal_lengths(self._lengths[self._step % per_epoch :][:wanted])
        self._length = length
        return StepsRequest(self.state, self._epoch, wanted, length)

    def accept(self, state: TrainState, seconds: float) -> None:
        """Takes the state after steps that were asked for, and does what is due at its step."""
        before, self.state = self._step, state
        self._step = step = int(state.step)
        self._meter.note(step - before, self._length, seconds)
        self._listener.on_steps(step)
        looked_at = step == before or self._before is not None or self._plan.is_due(step) or count(state) != self._known
        if not looked_at or not self._is_sound():
            return
        if self._before is not None and step == self._reached:
            self._hold()
        self._tell_incidents()
        plan, functions = self._plan, self._functions
        if plan.telemetry_every and functions.measure and step % plan.telemetry_every == 0:
            grad_norm = mean_grad_norm(self.state)  # before a report begins new sums
            self._hearing.on_telemetry(functions.measure(step, self.state.params, grad_norm))
        if step % plan.log_every == 0:
            self._report()
        if step % plan.eval_every == 0:
            self._validate()
        elif plan.checkpoint_every and step % plan.checkpoint_every == 0 and step < plan.steps:
            self._save(None)
        self._heard = max(self._heard, step)

    @property
    def _hearing(self):
        """Who hears of the steps at hand: nobody of those that are done anew."""
        return Listener() if self._step <= self._heard else self._listener

    def _is_sound(self):
        """Looks at the state, and replaces one that is not finite: where a step that is done anew gave it, by that
        without this step. Returns False where the training is back at an older one."""
        try:
            check_state(self.state)
        except Diverged as error:
            if self._before is None or self._step != self._before.step + 1:
                self._roll_back(error)
                return False
            before, policy = self._before.restore(), self._plan.policy
            self.state = leave_out(policy, self._batches, before, self.state, self._epoch, self._length)
        return True

    def _roll_back(self, error):
        """Puts the state back that is held; ends a training that is to stop, or that has got nowhere by it."""
        step, held, self._rollbacks = self._step, self._held, self._rollbacks + 1
        stopped = held is None or self._rollbacks >= self._plan.policy.stop
        nan, skipped = math.nan, self._known.skipped
        incident = Incident(step + 1, "state", nan, nan, 1, self._rollbacks, skipped, 1.0, 1.0, stopped)
        per_epoch = self._batches.steps_per_epoch
        self._enter(step)  # the step that would be next
        length = int(self._lengths[step % per_epoch])
        report, found = self._functions.examine(self.state, self._epoch, length, incident)
        if held is None or stopped:
            self._listener.on_incident(incident._replace(report=report, found=found))
            raise error
        self._reached = max(self._reached, step)
        self.state = held.restore()
        self._step, self._known = held.step, count(self.state)
        self._listener.on_rollback(Rollback(step, self._step, found or str(error), report))

    def _hold(self):
        """Holds the state, which has been looked at."""
        self._held, self._before, self._rollbacks = hold(self.state), None, 0
        self._good.hold(self._held)

    def _tell_incidents(self):
        """Tells of steps that were not applied and of spikes since the last dispatch; ends a training that must end."""
        incident, self._known = incident_since(self.state, self._known), count(self.state)
        if incident is None:
            return
        if incident.in_a_row and incident.fault != "state":  # of which there was a report before the rollback
            report, found = self._functions.examine(self.state, self._epoch, self._length, incident)
            incident = incident._replace(report=report, found=found)
        self.state = without_numbers(self.state)
        if not incident.stopped and is_due(self.state):
            self._due_at = self._step
            self.state, back_to = self._good.go_back(self.state, incident.fault == "spike")
            incident = incident._replace(back_to=back_to)
            self._hold()
        self._hearing.on_incident(incident)
        if incident.stopped:
            raise as_divergence(incident)

    def _enter(self, step):
        """Has the arrays at hand that a step is in; returns for how many steps they last."""
        number, place = divmod(step, self._batches.steps_per_epoch)
        self._epoch, until = self._epochs.at(number, place)
        if self._number != number:
            self._number, self._lengths = number, self._batches.lengths(number)
        return until - place

    def _report(self):
        """Reports means over the steps that were applied; nothing where none was."""
        state, totals = self.state, jax.tree.map(np.asarray, self.state.totals)
        applied = applied_steps(state)
        if applied:
            loss = float(totals.nll) / max(1, int(totals.tokens))
            check_loss(loss, self._step)
            seconds, steps_per_second = self._meter.read()
            per_step = int(totals.tokens) / applied
            rate = float(self._learning_rate(self._step - 1 - self._known.skipped))
            report = Report(
                step=self._step,
                loss=loss,
                metrics=self._functions.metrics(loss),
                grad_norm=mean_grad_norm(state),
                clipped=int(totals.clipped) / int(totals.steps),
                learning_rate=rate * float(state.learning_rate_scale) * rate_factor(state),
                seconds=seconds,
                targets_per_second=None if steps_per_second is None else steps_per_second * per_step,
            )
            self._hearing.on_report(report)
        self.state = with_new_sums(state)

    def _validate(self):
        plan, history = self._plan, self.history
        score = self._score()
        history.unvalidated = score is None
        if score is None:
            return self._save(None)
        best = history.note(self._step, score.rank)
        self.state = after_validation(plan, history, self.state, best)
        history.finished = plan.patience is not None and history.misses >= plan.patience
        self._keep(Validation(self._step, score, best), score.rank, loss=score.loss, best=best)

    def _score(self):
        """The score, ranked by process 0 for all: they decide by it what to do next. None where the validation was
        broken off: the state is then saved without it."""
        try:
            score = self._functions.validate(self.state.evaluation_params)
        except ValidationStopped:
            self.stopped_validating = True
            return None
        rank = on_first(lambda: score.rank)
        return score if rank == score.rank else score._replace(criterion=rank)

    def _keep(self, validation, rank, **of_score):
        """Records a validation and saves its state; only then is a sample made, and the listener told."""
        self._functions.record(validation)
        self._save(rank, **of_score)
        functions, params = self._functions, self.state.evaluation_params
        sample = "" if functions.should_stop() else functions.sample(params, self._step)
        self._listener.on_validation(validation._replace(sample=sample))

    def _close(self):
        """Saves the last state, if it was not saved at a validation. At the planned end it is validated too, on the
        record only: a run that is resumed from here later must find its schedule as if it had never ended.

        Returns False where the state was not finite, and an older one was put back."""
        if self._step % self._plan.eval_every == 0 and self._step > 0:
            return True
        self._before = None
        if not self._is_sound():
            return False
        if self._step >= self._plan.steps:
            score = self._score()
            if score is not None:
                rank, lowest = score.rank, self.history.best_valid_loss
                best = lowest is not None and rank < lowest
                self._keep(Validation(self._step, score, best, closing=True), rank)
                return True
        self._save(None)
        return True

    def _save(self, rank, loss=0.0, best=False):
        """Saves the state; one at its time, and without trouble, is a good one. loss: of the validation, if any."""
        check_state(self.state)
        counters = self.state.incidents
        calm = False
        if counters is not None and not int(counters.in_a_row):
            calm = not has_exploded(np.float32(loss), np.asarray(counters.first))
        calm = calm and not self.history.unvalidated
        if calm and self._plan.saves_at(self._step) and self._step != self._due_at:
            self._good.admit(self._step, best)
        self._functions.save(self.state, self.history, rank)
        self._hold()


def fit(training: Training, train_steps: TrainStepsFn) -> None:
    """Runs a training loop to completion."""
    while (request := training.request()) is not None:
        started = time.perf_counter()
        state = train_steps(request.state, request.epoch, request.count, length=request.length)
        jax.block_until_ready(state.step)
        training.accept(state, time.perf_counter() - started)
