"""The loop with a state that only counts: what happens at which step."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lm_jax.cells import rnn
from lm_jax.data import Batches
from lm_jax.models import recurrent_lm
from lm_jax.training import (
    Diverged,
    History,
    Listener,
    LoopFunctions,
    Plan,
    Score,
    Training,
    Validation,
    create_state,
    fit,
    text_source,
)
from lm_jax.training.listener import Telemetry
from lm_jax.training.loop_functions import ValidationStopped


MODEL = recurrent_lm(5, rnn(3, 4))
SOURCE = text_source(Batches(np.zeros(280, np.int32), 0, 4, 10), MODEL)  # 7 steps an epoch
EPOCH = 7


def advance(state, epoch, count, length=None):
    """Training that changes nothing: 2 nats and 3 of gradient norm a token, one token a step, half of them clipped."""
    old = state.totals
    totals = old._replace(
        nll=old.nll + 2.0 * count,
        tokens=old.tokens + count,
        steps=old.steps + count,
        grad_norm=old.grad_norm + 3.0 * count,
    )
    return state.replace(step=state.step + count, totals=totals)


def perplexity(loss):
    return {"perplexity": math.exp(min(loss, 700.0))}


class Recorder(Listener):
    """Notes all that a training reports, validates, measures and saves; validations give the losses of a list."""

    def __init__(self, valid_losses=(), stop_at=math.inf):
        self.valid_losses, self.stop_at = iter(valid_losses), stop_at
        self.saved, self.reports, self.validations, self.dispatches = {}, [], [], []
        self.telemetry, self.measured = [], []
        self.on_report, self.on_validation = self.reports.append, self.validations.append
        self.on_telemetry, self.on_steps = self.telemetry.append, self.dispatches.append

    def functions(self):
        return LoopFunctions(
            validate=self.validate,
            save=self.save,
            metrics=perplexity,
            sample=lambda params, step: f"sample at {step}",
            measure=self.measure,
            should_stop=lambda: bool(self.dispatches) and self.dispatches[-1] >= self.stop_at,
        )

    def validate(self, params):
        loss = next(self.valid_losses, 1.0)
        return Score(loss, perplexity(loss), f"loss {loss}")

    def save(self, state, history, loss):
        self.saved[int(state.step)] = (dataclasses.asdict(history), loss)

    def measure(self, step, params, grad_norm):
        self.measured.append(params)
        return Telemetry(step, {"grad_norm": grad_norm}, f"norm {grad_norm}")

    def timeless_reports(self):
        """The reports but for what they say of the clock."""
        return [report._replace(seconds=0.0, targets_per_second=None) for report in self.reports]


def plan(steps=20, log_every=5, eval_every=8, **settings):
    return Plan(steps, log_every, eval_every, **settings)


def start(step=0):
    return create_state(MODEL.init, SOURCE, optax.sgd(0.1), 0).replace(step=jnp.asarray(step))


def run(plan, recorder, state=None, history=None, train_steps=advance, rate=lambda step: 0.5):
    training = Training(state or start(), SOURCE, plan, recorder.functions(), rate, listener=recorder, history=history)
    fit(training, train_steps)
    return training.state, training.history


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 5), (4, 5), (5, 7), (7, 8), (8, 10), (10, 14), (14, 15), (16, 20), (20, 20)],
)
def test_the_next_stop(step, expected):
    assert plan().next_stop(step, EPOCH) == expected


def test_checkpoints_are_stops_too_and_the_end_is_one():
    assert plan(steps=6, checkpoint_every=3).next_stop(0, EPOCH) == 3
    assert plan(steps=4).next_stop(3, EPOCH) == 4


def test_everything_happens_at_its_step():
    recorder = Recorder([3.0, 2.0, 2.5])
    state, history = run(plan(checkpoint_every=6), recorder)
    assert int(state.step) == recorder.dispatches[-1] == 20
    assert [report.step for report in recorder.reports] == [5, 10, 15, 20]
    assert [(v.step, v.score.loss, v.best) for v in recorder.validations] == [
        (8, 3.0, True),
        (16, 2.0, True),
        (20, 2.5, False),
    ]
    assert {step: loss for step, (_, loss) in recorder.saved.items()} == {
        6: None,
        8: 3.0,
        12: None,
        16: 2.0,
        18: None,
        20: 2.5,
    }
    assert (history.best_valid_loss, history.best_step, history.finished) == (2.0, 16, False)
    assert recorder.dispatches == sorted(set(recorder.dispatches))
    assert {5, 7, 8, 10, 14, 15, 16, 20} <= set(recorder.dispatches)


@pytest.mark.parametrize("steps", [8, 9])  # a validation in its turn, and one at the end of a run
def test_a_validation_is_recorded_and_its_state_saved_before_a_sample_is_made(steps):
    """The sample and the listener take their time, and may fail: nothing is lost by that."""
    recorder, order = Recorder(), []
    functions = recorder.functions()._replace(
        record=lambda validation: order.append(f"record {validation.step}"),
        save=lambda state, history, rank: order.append(f"save {int(state.step)}"),
        sample=lambda params, step: order.append(f"sample {step}") or "text",
    )
    recorder.on_validation = lambda validation: order.append(f"tell {validation.step} {validation.sample}")
    training = Training(start(), SOURCE, plan(steps=steps), functions, lambda step: 0.5, listener=recorder)
    fit(training, advance)
    assert order[-4:] == [f"record {steps}", f"save {steps}", f"sample {steps}", f"tell {steps} text"]


def test_reports_are_means_over_their_steps():
    recorder = Recorder()
    run(plan(), recorder, rate=lambda step: 100.0 + step)
    for report in recorder.reports:
        step, loss, metrics, grad_norm, clipped, learning_rate, seconds, targets_per_second = report
        assert (loss, metrics, grad_norm, clipped) == (2.0, {"perplexity": math.exp(2)}, 3.0, 0.0)
        assert learning_rate == 99.0 + step  # of the step that was just made
        assert seconds > 0 and targets_per_second > 0  # a target a step
        json.dumps(report, allow_nan=False)


def test_telemetry_is_asked_for_at_its_steps_with_the_mean_norm_since_the_last_report():
    """The norm of step k is k here; step 4 comes in the middle between reports, step 20 together with one."""

    def train_steps(state, epoch, count, length=None):
        norms = sum(int(state.step) + 1 + k for k in range(count))
        new = advance(state, epoch, count, length)
        return new.replace(totals=new.totals._replace(grad_norm=state.totals.grad_norm + norms))

    recorder = Recorder([3.0, 2.0, 2.5])
    state, _ = run(plan(telemetry_every=4), recorder, train_steps=train_steps)
    means = {4: 2.5, 8: 7.0, 12: 11.5, 16: 16.0, 20: 18.0}
    assert recorder.telemetry == [Telemetry(s, {"grad_norm": n}, f"norm {n}") for s, n in means.items()]
    assert [report.grad_norm for report in recorder.reports] == [3.0, 8.0, 13.0, 18.0]
    assert recorder.measured[-1] is state.params
    silent = Recorder([3.0, 2.0, 2.5])
    run(plan(), silent)
    assert silent.telemetry == []


def test_the_plateau_lowers_the_rate_at_every_miss():
    recorder = Recorder([3.0, 3.0, 4.0, 2.0, 2.5])
    state, _ = run(plan(steps=25, eval_every=5, decay_factor=0.5), recorder)
    assert float(state.learning_rate_scale) == 0.125
    # reports come before the validation of the same step
    assert [report.learning_rate for report in recorder.reports] == [0.5, 0.5, 0.25, 0.125, 0.125]


def test_the_closing_validation_is_on_the_record_only():
    recorder = Recorder([3.0, 4.0])
    state, history = run(plan(steps=7, eval_every=5, decay_factor=0.5, patience=1), recorder)
    score = Score(4.0, {"perplexity": math.exp(4)}, "loss 4.0")
    assert recorder.validations[-1] == Validation(7, score, best=False, closing=True, sample="sample at 7")
    assert not recorder.validations[0].closing
    assert float(state.learning_rate_scale) == 1.0
    assert (history.best_valid_loss, history.best_step, history.misses) == (3.0, 5, 0)


@pytest.mark.parametrize(("patience", "last"), [(1, 12), (2, 24), (3, 28), (None, 40)])
def test_patience(patience, last):
    recorder = Recorder([3.0, 2.0, 2.0, 1.0, 1.5, 1.5, 1.5, 0.5, 0.5, 0.5])
    state, history = run(plan(steps=40, eval_every=4, patience=patience), recorder)
    assert int(state.step) == last and history.finished == (patience is not None)
    assert recorder.validations[-1].step == last == max(recorder.saved)


def test_a_stop_saves_and_a_resume_does_what_was_left():
    whole, first, second = Recorder([3, 2, 4, 5]), Recorder([3], stop_at=12), Recorder([2, 4, 5])
    settings = plan(steps=30, decay_factor=0.5)
    expected, expected_history = run(settings, whole)
    state, history = run(settings, first)
    stopped = int(state.step)
    assert 12 <= stopped < 16 and stopped in first.saved and first.saved[stopped][1] is None
    host = json.loads(json.dumps(first.saved[stopped][0]))  # as a checkpoint keeps it
    state, history = run(settings, second, state, History(**host))
    assert first.timeless_reports() + second.timeless_reports() == whole.timeless_reports()
    assert first.validations + second.validations == whole.validations
    assert history == expected_history
    jax.tree.map(np.testing.assert_array_equal, (state.step, state.totals), (expected.step, expected.totals))
    assert state.learning_rate_scale == expected.learning_rate_scale


class Stopping(Recorder):
    """Is stopped amid its validation at a step."""

    def validate(self, params):
        if self.dispatches[-1] >= self.stop_at:
            raise ValidationStopped
        return super().validate(params)


@pytest.mark.parametrize("stop_at", [16, 24, 30])  # the last one is the closing validation
def test_a_validation_that_is_broken_off_is_made_when_the_run_goes_on(stop_at):
    whole, first, again, last = Recorder([3, 2, 4, 5]), Stopping([3, 2, 4], stop_at), Stopping(stop_at=0), Recorder()
    settings = plan(steps=30, decay_factor=0.5, checkpoint_every=8)
    expected, expected_history = run(settings, whole)
    state, _ = run(settings, first)
    saved, loss = first.saved[stop_at]
    assert int(state.step) == stop_at and loss is None and saved["unvalidated"] == (stop_at != 30)
    assert whole.validations == [*first.validations, *whole.validations[len(first.validations) :]] != first.validations
    again.dispatches.append(stop_at)  # asked to stop before it goes on: nothing changes
    state, history = run(settings, again, state, History(**json.loads(json.dumps(saved))))
    assert int(state.step) == stop_at and dataclasses.asdict(history) == saved and not again.validations
    last.valid_losses = iter([3, 2, 4, 5][len(first.validations) :])
    state, history = run(settings, last, state, history)
    assert first.validations + last.validations == whole.validations
    assert first.timeless_reports() + last.timeless_reports() == whole.timeless_reports()
    assert {**first.saved, **last.saved} == whole.saved and history == expected_history
    assert state.learning_rate_scale == expected.learning_rate_scale


def test_a_finished_run_does_not_go_on():
    recorder = Recorder()
    state, _ = run(plan(), recorder, start(8), History(finished=True))
    assert int(state.step) == 8 and not recorder.dispatches


def nan_from(step):
    def train_steps(state, epoch, count, length=None):
        state = advance(state, epoch, count)
        bad = jnp.where(state.step >= step, jnp.nan, 0.0)
        return state.replace(totals=state.totals._replace(nll=state.totals.nll + bad))

    return train_steps


@pytest.mark.parametrize(("settings", "noticed"), [({"log_every": 5}, 15), ({"log_every": 100}, 16)], ids=str)
def test_a_loss_that_is_no_number_ends_the_run_unsaved(settings, noticed):
    recorder = Recorder()
    advice = "lower learning_rate or clip"
    with pytest.raises(Diverged, match=f"the loss must stay finite, got nan by step {noticed}: .*{advice}") as caught:
        run(plan(**settings), recorder, train_steps=nan_from(11))
    assert caught.value.settings == ("learning_rate", "clip") and "\n" not in str(caught.value)
    assert max(recorder.saved) == 8
    assert all(math.isfinite(report.loss) for report in recorder.reports)


def test_the_last_state_is_checked_before_it_is_saved():
    recorder = Recorder()
    with pytest.raises(Diverged):
        run(plan(steps=13, log_every=100), recorder, train_steps=nan_from(13))
    assert max(recorder.saved) == 8


@pytest.mark.parametrize("checkpoint_every", [None, 3])
def test_parameters_that_are_no_numbers_are_not_saved(checkpoint_every):
    def train_steps(state, epoch, count, length=None):
        state = advance(state, epoch, count)
        return state.replace(params=state.params.replace(b_out=state.params.b_out + jnp.inf))

    recorder = Recorder()
    with pytest.raises(Diverged, match="the parameters must stay finite") as caught:
        run(plan(checkpoint_every=checkpoint_every), recorder, train_steps=train_steps)
    assert caught.value.settings == ("learning_rate", "clip")
    assert not recorder.saved and not recorder.validations


def test_a_validation_that_is_no_number_is_never_best():
    history = History()
    assert [history.note(step, loss) for step, loss in enumerate([math.nan, math.inf, 3.0, 3.0, math.nan, 2.0])] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert (history.best_valid_loss, history.best_step, history.misses) == (2.0, 5, 0)
    assert History(**json.loads(json.dumps(dataclasses.asdict(history)))).best_step == 5  # as a checkpoint keeps it
