"""The contract of a task: all that a run needs to know of what it trains.

A run has a folder, steps, checkpoints, logs and a resume; a task has data, a model, a loss and a table at the end.
Neither knows the inside of the other. A task is a NamedTuple of pure functions. Its laws (tests/tasks/test_laws.py runs
them over every task):

1. `load` raises UserError for data that cannot be used, and writes nothing.
2. `batches` depends on (settings, data, model) alone: two calls give the same batches at the same steps.
3. `validate` and `close` read parameters and leave them as they are.
4. A model is built from settings and vocabulary alone, so that a finished run needs no data.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lm_jax.config.text_defaults import UNCHOSEN, fill_in
from lm_jax.errors import UserError
from lm_jax.report.table import Table
from lm_jax.short_repr import shortly_shown
from lm_jax.training.batch_source import BatchSource
from lm_jax.training.diagnosis import DiagnoseFn
from lm_jax.training.listener import Column, Score, Telemetry
from lm_jax.training.losses import LossFn
from lm_jax.types import Key, Params


ProgressFn = Callable[[str, int, int], None]  # (stage, done, total)
MeasureFn = Callable[[int, Params, float], Telemetry]  # (step, params, mean gradient norm)


class Data(Protocol):
    """The data of a task, ready for its model.

    source: where they come from. sha256: their fingerprint. vocabulary: an object with `sha256` and `save(path)`, or
    None. phrases: about the data, for a person. record: JSON values that the run folder keeps; has source and sha256.
    """

    @property
    def source(self) -> str:
        """Where the data come from."""
        ...

    @property
    def sha256(self) -> str | None:
        """The fingerprint of the data."""
        ...

    @property
    def vocabulary(self) -> Any:
        """The vocabulary, or None."""
        ...

    @property
    def phrases(self) -> tuple[str, ...]:
        """A few words each about the data."""
        ...

    @property
    def record(self) -> dict[str, Any]:
        """JSON values that the run folder keeps."""
        ...


class SavedData(NamedTuple):
    """A run folder's memory of its data: its vocabulary, and the record that has source and sha256.

    Of weights that a new run begins with: their vocabulary, no record, and a phrase about them for a person.
    """

    vocabulary: Any
    record: Mapping[str, Any] | None
    phrase: str = ""

    def check_same(self, source: str, sha256: str) -> None:
        """Raises UserError unless the data are those that the run began with."""
        if self.record is None:
            return
        if self.record["sha256"] is None:
            raise UserError(
                f"a run made from {self.record['source']} has no text to go on with: begin a new run with init_from",
                ["init_from"],
            )
        if sha256 != self.record["sha256"]:
            began = self.record["source"]
            raise UserError(f"a resumed run keeps the text it began with ({began}), got another text from {source}")


@shortly_shown
class Closing(NamedTuple):
    """The end of a run, for its results and for a person.

    rows: records of the closing table, for JSON. table: the same to look at. summary: the model's own measures by
    split, such as {"test": {"perplexity": 3.1}}, of which several seeds have a mean. sample: a text to look at.
    remarks: lines for a person. record: further JSON values. next_command: what to type next, with {run} in it.
    references: validation losses of other models by name, beside which the picture shows the run's own.
    """

    rows: tuple[NamedTuple, ...] = ()
    table: Table | None = None
    summary: Mapping[str, Mapping[str, float]] = {}
    sample: str = ""
    remarks: tuple[str, ...] = ()
    record: Mapping[str, Any] = {}
    next_command: str = ""
    references: Mapping[str, float] = {}


class TelemetryKind(NamedTuple):
    """How a task's model is measured while it trains.

    build: (settings, data, model) -> `MeasureFn`. draw: (settings, records of metrics.jsonl, path) draws a picture.
    """

    build: Callable[[Any, Any, Any], MeasureFn]
    draw: Callable[[Any, list[dict[str, Any]], Path], None]


@shortly_shown
class Estimate(NamedTuple):
    """Estimated parameters, notes for a person, and JSON values about them for the run folder."""

    params: Params
    notes: list[str]
    record: Mapping[str, Any]


class Estimation(NamedTuple):
    """How a model is estimated without steps.

    check: (settings) raises UserError for what cannot be, before data are read. estimate: (settings, data, on_stage)
    -> Estimate. file: the name of the file with the parameters. save: (path, params). read: (path, vocabulary) ->
    params of the model.
    """

    check: Callable[[Any], None]
    estimate: Callable[[Any, Any, Callable[[str], None]], Estimate]
    file: str
    save: Callable[[Path, Params], None]
    read: Callable[[Path, Any], Params]


class Pretrained(NamedTuple):
    """Another run, whose parameters a new one may take over: its settings, vocabulary and parameters."""

    path: str
    config: Any
    vocabulary: Any
    params: Params


class Task(NamedTuple):
    """All that a run needs to know of what it trains, as functions of `settings`, an instance of `config`.

    config: the frozen dataclass of its settings; a `RunConfig` where steps are trained.
    name: settings -> the model's name, such as "LSTM 1x256". folder_name: settings -> the beginning of a folder's name.
    family: settings -> the kind of model in a word, for tables and legends, such as "lstm".
    command: words of the command line that train it.
    load: (settings, SavedData of a resumed run or None) -> Data.
    choose: (settings, data) -> settings with those filled in that a user left to the data, and what was filled in.
    read_vocabulary: path -> vocabulary.
    model: (settings, vocabulary) -> the model, with `init`.
    validate: (settings, data, model, params, progress) -> Score on the validation data.
    close: (settings, data, model, params, key, progress) -> Closing.
    evaluate: (settings, vocabulary, model, params, EvaluationRequest) -> a record of scores, with `words` for a person.
    batches: (settings, data, model) -> BatchSource; None, as `loss`, where estimated without steps.
    loss: (settings, model) -> LossFn.
    estimation: how it is estimated without steps; None where steps are trained.
    sample: (settings, vocabulary, model, params, key) -> a text to look at.
    metrics: mean loss -> measures to report beside it, by name. columns: data -> columns of the table of reports.
    loss_label: settings -> the name of the loss with its unit, for pictures.
    telemetry: how the model is measured while it trains; None where that is not possible.
    engine: settings -> how a recurrence is computed; None without one.
    unit: what a target is called, in the plural.
    check_seeds: settings -> raises UserError if several seeds cannot be trained side by side.
    for_any_machine: settings -> settings of a finished run's model on another machine than it was trained on.
    scores: settings -> the method whose numbers are no probabilities, which have no perplexity; None otherwise.
    required_mode: settings -> the mode in which a text must be read; None where it is read alike in all.
    pretrained: settings -> the run that a new one takes parameters from; None without one.
    read_weights: settings -> what a file in the place of that run holds; None where only runs are read.
    begin: (settings, Pretrained) -> settings with what those parameters say, and the vocabulary that comes with them;
        None: the settings and the vocabulary are the new run's own.
    warm_start: (settings, data, params, Pretrained | None) -> params that a new run begins with; None: as they are.
    diagnose: (model, params, carry, arrays of the batch by name) -> the first number inside the model that is none;
        None: only rows of the batch are looked at.
    model_type: what its model is: decides which questions can be asked.
    with_absolute_paths: settings -> settings with paths that hold from every folder. movable: names of path settings,
        which a resumed run may change.
    stream: data -> the text of a source that can be read only once, which the run folder keeps; None for any other.
    with_data: (settings, source) -> settings with another source of the same data.
    """

    config: type
    name: Callable[[Any], str]
    load: Callable[[Any, SavedData | None], Any]
    model: Callable[[Any, Any], Any]
    validate: Callable[[Any, Any, Any, Params, ProgressFn], Score]
    close: Callable[[Any, Any, Any, Params, Key, ProgressFn], Closing]
    evaluate: Callable[..., Any]
    folder_name: Callable[[Any], str]
    family: Callable[[Any], str]
    choose: Callable[[Any, Any], tuple[Any, dict[str, Any]]] = lambda settings, data: (
        fill_in(settings, UNCHOSEN._asdict())[0],
        {},
    )
    read_vocabulary: Callable[[Path], Any] | None = None
    batches: Callable[[Any, Any, Any], BatchSource] | None = None
    loss: Callable[[Any, Any], LossFn] | None = None
    estimation: Estimation | None = None
    sample: Callable[[Any, Any, Any, Params, Key], str] = lambda settings, vocabulary, model, params, key: ""
    metrics: Callable[[float], dict[str, float]] = lambda loss: {}
    columns: Callable[[Any], tuple[Column, ...]] = lambda data: ()
    loss_label: Callable[[Any], str] = lambda settings: "loss"
    telemetry: TelemetryKind | None = None
    engine: Callable[[Any], str | None] = lambda settings: None
    check_seeds: Callable[[Any], None] = lambda settings: None
    for_any_machine: Callable[[Any], Any] = lambda settings: settings
    scores: Callable[[Any], str | None] = lambda settings: None
    required_mode: Callable[[Any], str | None] = lambda settings: None
    with_absolute_paths: Callable[[Any], Any] = lambda settings: settings
    movable: tuple[str, ...] = ()
    stream: Callable[[Any], bytes | None] = lambda data: None
    with_data: Callable[[Any, str], Any] = lambda settings, data: settings
    pretrained: Callable[[Any], str | None] = lambda settings: None
    read_weights: Callable[[Any], Pretrained] | None = None
    begin: Callable[[Any, Pretrained], tuple[Any, SavedData]] | None = None
    warm_start: Callable[[Any, Any, Params, Pretrained | None], Params] | None = None
    diagnose: DiagnoseFn | None = None
    unit: str = "targets"
    command: str = "train"
    model_type: str = "language model"


class EvaluationRequest(NamedTuple):
    """Data to evaluate: a source (None: the run's own), a split, and who hears the progress."""

    data: str | None = None
    split: str = "test"
    progress: Callable[[int, int], None] | None = None
