"""What the training loop calls, and what it asks for."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lm_jax.training.good_states import ReadFn
from lm_jax.training.history import History
from lm_jax.training.listener import Incident, Score, Telemetry, Validation
from lm_jax.training.state import TrainState
from lm_jax.types import Params


class ValidationStopped(Exception):
    """A validation was broken off, as the training is to stop."""


class LoopFunctions(NamedTuple):
    """Functions that the loop calls.

    validate: the score of parameters; may raise ValidationStopped once the training is to stop. record: keeps a
    validation, before its state is saved. save: a state, its history, and the rank that a validation gave it (None
    without one). metrics: measures to report beside a mean loss, by name. sample: a text to look at, from parameters
    and step. measure: telemetry from the step, parameters and the mean gradient norm. should_stop: whether to stop and
    save. examine: looks into a step that was not applied, from the state after it, the epoch's arrays and the length of
    the batch; returns the folder of its report and its words, both "" without. read: as of `GoodStates`.
    """

    validate: Callable[[Params], Score]
    save: Callable[[TrainState, History, float | None], None]
    record: Callable[[Validation], None] = lambda validation: None
    metrics: Callable[[float], dict[str, float]] = lambda loss: {}
    sample: Callable[[Params, int], str] = lambda params, step: ""
    measure: Callable[[int, Params, float], Telemetry] | None = None
    should_stop: Callable[[], bool] = lambda: False
    examine: Callable[[TrainState, Any, int, Incident], tuple[str, str]] = lambda *_: ("", "")
    read: ReadFn = lambda step, like: None


class StepsRequest(NamedTuple):
    """Steps that a training asks for, as for `TrainStepsFn`; fewer may be done."""

    state: TrainState
    epoch: Any
    count: int
    length: int
