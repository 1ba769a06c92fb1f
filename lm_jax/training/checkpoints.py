"""Checkpoints by orbax: the newest two and the best, complete or absent, readable on any number of devices.

A checkpoint is a step's folder with two parts, `params` and `train` (everything else of the TrainState), the
validation loss as its metric, and the host's bookkeeping as JSON. All of orbax is behind this module.
"""

import contextlib
import dataclasses
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import jax

from lm_jax.errors import UserError
from lm_jax.training.processes import on_first
from lm_jax.training.state import TrainState
from lm_jax.types import Params


@contextlib.contextmanager
def _quiet():
    """Silences notes that orbax makes on every save and load of unsharded arrays."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _metric(metrics) -> float:
    """The number that a checkpoint is ranked by; infinite where there is none, it is NaN, or an earlier checkpoint had
    one as low, so that it never wins."""
    value = (metrics or {}).get("valid_loss")
    if value is None or not math.isfinite(value) or not (metrics or {}).get("improves", 1):
        return math.inf
    return value


class Checkpoints:
    """The checkpoints of one run folder; use as a context manager, which waits for the last save."""

    def __init__(self, folder: Path):
        from orbax.checkpoint import v1 as ocp

        training: Any = ocp.training  # its stubs do not know their own classes
        policies = training.preservation_policies
        best = policies.BestN(get_metric_fn=_metric, reverse=True, n=1, keep_checkpoints_without_metrics=False)
        self._closed = False
        with _quiet():
            self._checkpointer = training.Checkpointer(
                Path(folder).resolve(),
                cleanup_tmp_directories=True,
                save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(2), best]),
            )
        self._lowest = min((_metric(c.metrics) for c in self._checkpointer.checkpoints), default=math.inf)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Waits for the last save; a second call does nothing."""
        if not self._closed:
            self._closed = True
            with _quiet():
                self._checkpointer.close()

    @property
    def steps(self) -> list[int]:
        """The steps that there are checkpoints of, oldest first."""
        return [c.step for c in self._checkpointer.checkpoints]

    @property
    def best_step(self) -> int | None:
        """The step of the best validation, of equal ones the first; the newest where none was validated; None without
        checkpoints."""
        checkpoints = sorted(self._checkpointer.checkpoints, key=lambda c: (_metric(c.metrics), -c.step))
        return checkpoints[0].step if checkpoints else None

    def save(self, state: TrainState, host: dict[str, Any], valid_loss: float | None) -> None:
        """Saves a state under its step; a step that is there already is left as it is.

        valid_loss: the number that its validation ranks it by, lower is better; None without one.
        """
        step = int(state.step)
        if step in self.steps:
            return
        metrics: Any = {}
        if valid_loss is not None:
            metrics = {"valid_loss": float(valid_loss), "improves": int(valid_loss < self._lowest)}
            self._lowest = min(self._lowest, _metric(metrics))
        with _quiet():
            self._checkpointer.save_checkpointables(step, _parts(state), metrics=metrics, custom_metadata=host)

    def restore_newest(self, template: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The newest checkpoint that can be read, with its bookkeeping; None where there is none at all.

        Damaged ones that are newer get another name and a warning. Raises UserError, and changes nothing, if there
        are checkpoints and none can be read: starting anew in their folder would lose them.
        """
        damaged = []
        for checkpoint in sorted(self._checkpointer.checkpoints, key=lambda c: -c.step):
            try:
                with _quiet():
                    parts = self._checkpointer.load_checkpointables(checkpoint.step, _parts(template))
                    host: Any = self._checkpointer.metadata(checkpoint.step).custom_metadata
            except Exception as error:  # orbax wraps every cause differently; a damaged file must not end a run
                damaged.append((checkpoint, _root(error)))
                continue
            self._set_aside(damaged)
            return _whole(template, parts), host
        if damaged:
            steps = ", ".join(str(checkpoint.step) for checkpoint, _ in damaged)
            raise UserError(f"a run goes on from a checkpoint that can be read, got {steps}: {damaged[0][1]}")
        return None

    def _set_aside(self, damaged):
        for checkpoint, reason in damaged:
            path = Path(checkpoint.path)
            aside = path.with_name(f"{path.name}.unreadable")
            on_first(lambda path=path, aside=aside: str(path.rename(aside)))
            warnings.warn(
                f"checkpoint {checkpoint.step} is damaged ({reason}); set aside as {aside.name}", stacklevel=3
            )
        if damaged:
            self._checkpointer.reload()

    def load_params(self, template: Params, step: int | None = None) -> Params:
        """The parameters of a step (default: the best), on one device, however many they were saved from."""
        step = self.best_step if step is None else step
        if step is None:
            raise UserError("a run can be loaded once it has a checkpoint, got none")
        self._check_shapes(template, step)
        one_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=one_device), template)
        try:
            with _quiet():
                return self._checkpointer.load_checkpointables(step, {"params": abstract})["params"]
        except Exception as error:  # of many types; what the user can act on is its cause
            raise UserError(f"a checkpoint must fit its config.json, got step {step}: {_root(error)}") from error

    def _check_shapes(self, template, step):
        """Orbax finds a misfit only while it loads, and its threads then print tracebacks of their own."""
        with _quiet():
            saved = self._checkpointer.checkpointables_metadata(step).metadata["params"]
        have, want = (sorted(tuple(leaf.shape) for leaf in jax.tree.leaves(tree)) for tree in (saved, template))
        if have != want:
            raise UserError(f"a checkpoint must fit its config.json, got arrays of {have} at step {step}, not {want}")


def _parts(state):
    """`params` is what a run is loaded with; where that is an average, the parameters themselves go to `train`."""
    rest = {field.name: getattr(state, field.name) for field in dataclasses.fields(state) if field.name != "params"}
    if _is_empty(state.carry):  # such as [B, 0] of a window of one token: there is nothing to save
        rest["carry"] = ()
    if state.average is None:
        return {"params": state.params, "train": rest}
    return {"params": state.average.params, "train": {**rest, "average": state.average.count, "raw": state.params}}


def _is_empty(carry):
    return all(leaf.size == 0 for leaf in jax.tree.leaves(carry))


def _whole(template, parts):
    params, train = parts["params"], dict(parts["train"])
    if _is_empty(template.carry):
        train["carry"] = template.carry
    if template.average is not None:
        average = template.average._replace(params=params, count=train["average"])
        params, train = train.pop("raw"), {**train, "average": average}
    return template.replace(params=params, **train)


def _root(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return f"{type(error).__name__}: {str(error).splitlines()[0][:90] if str(error) else ''}"
