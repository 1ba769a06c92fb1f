"""Results of a run as records; results.json holds the same."""

from pathlib import Path
from typing import Any, NamedTuple

from lm_jax.report.html import fragment, image_html, paragraph, quotation, table_html
from lm_jax.report.numbers import clock
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks import Closing
from lm_jax.types import Params


@shortly_shown
class TrainResults(NamedTuple):
    """The end of a training.

    step: steps done. stopped: by a signal, before the planned end. finished_early: by patience. parameters: how many
    numbers. closing: table and sample; None of a stopped run. best_step: of the parameters that are loaded.
    seconds: wall time of all sessions. mirror: the folder of the copy. incidents: steps that were not applied, because
    they were no numbers.
    """

    run: str
    step: int
    stopped: bool
    finished_early: bool
    parameters: int
    best_step: int | None
    seconds: float
    closing: Closing
    command: str
    mirror: str | None = None
    incidents: int = 0

    def to_json(self) -> dict[str, Any]:
        """Returns what results.json holds."""
        copies = {} if self.mirror is None else {"mirror": self.mirror}
        return {
            "run": self.run,
            "step": self.step,
            "stopped": self.stopped,
            "finished_early": self.finished_early,
            "parameters": self.parameters,
            **closing_to_json(self.closing, self.stopped),
            "best_step": self.best_step,
            "incidents": self.incidents,
            **copies,
            "seconds": self.seconds,
        }


@shortly_shown
class EstimateResults(NamedTuple):
    """The end of an estimation. notes: on what the estimator did. record: about the parameters. bytes: on disk.
    seconds: wall time of reading and estimating."""

    run: str
    notes: list[str]
    record: dict[str, Any]
    bytes: int
    seconds: float
    closing: Closing

    def to_json(self) -> dict[str, Any]:
        """Returns what results.json holds."""
        head = {"run": self.run, "notes": self.notes, **self.record, "bytes": self.bytes}
        return head | closing_to_json(self.closing) | {"seconds": self.seconds}


class Run(NamedTuple):
    """A finished or stopped run: its folder, the model, the best parameters, the vocabulary, the results."""

    folder: Path
    model: Any
    params: Params
    vocabulary: Any
    results: Any  # TrainResults or EstimateResults

    def __repr__(self) -> str:
        return "\n".join([f"Run({str(self.folder)!r})", *(f"  {line}" for line in _in_words(self.results))])

    def _repr_html_(self) -> str:
        closing, picture = self.results.closing, self.folder / "loss.png"
        curve = image_html(picture.read_bytes(), "loss curve") if picture.is_file() else ""
        sample = quotation(closing.sample) if closing.sample else ""
        words = "".join(map(paragraph, (*_in_words(self.results)[:1], *closing.remarks)))
        return fragment(str(self.folder), words, table_html(closing.table), curve, sample)


def _in_words(results) -> list[str]:
    """How long the run was, and the measures of each split."""
    if isinstance(results, EstimateResults):
        lines = [f"estimated in {clock(results.seconds)}, {results.bytes / 2**20:.1f} MiB"]
    else:
        state = "stopped after step" if results.stopped else "step"
        best = "-" if results.best_step is None else f"{results.best_step:,}"
        lines = [f"{results.parameters:,} parameters, {state} {results.step:,}, best step {best}"]
    for split, measures in results.closing.summary.items():
        lines.append(f"{split}: " + ", ".join(f"{name.replace('_', ' ')} {x:.4g}" for name, x in measures.items()))
    return lines


def closing_to_json(closing: Closing, stopped: bool = False) -> dict[str, Any]:
    """Returns rows, further values and sample of a closing."""
    text = {} if stopped else {"sample": closing.sample}
    return {"rows": [row._asdict() for row in closing.rows], **closing.record, **text}
