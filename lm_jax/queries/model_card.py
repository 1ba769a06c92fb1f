"""The card of a trained model: what it is, what it was trained on, how good it is, and how to use it."""

from collections.abc import Callable
from typing import Any

from lm_jax.errors import UserError
from lm_jax.queries.compare import compare
from lm_jax.queries.gradients import gradients
from lm_jax.queries.loaded_run import LoadedRun
from lm_jax.report.numbers import short
from lm_jax.runs.folder import read_results
from lm_jax.strict_json import to_json


PICTURE = "loss.png"
HIDDEN = ("split", "model", "search")  # of a row of results: words beside its numbers
PIPELINES = {
    "language model": "text-generation",
    "classifier": "text-classification",
    "tagger": "token-classification",
    "translator": "translation",
}


def model_card(run: LoadedRun, name: str, picture: bool, say: Callable[[str], None] = lambda stage: None) -> str:
    """Writes the card of a run in Markdown.

    Args:
        run: The run, loaded.
        name: The name that the model has there.
        picture: Whether the loss curve lies beside the card, as loss.png.
        say: Called with what is being measured.
    """
    task, corpus, results = run.task, run.record["corpus"], read_results(run.path)
    title = task.name(run.config)
    rows = [
        ("model", title),
        ("parameters", f"{results['parameters']:,}" if "parameters" in results else "not recorded"),
        ("trained on", f"{plain(corpus['source'])} (sha256 {str(corpus['sha256'])[:12]})"),
        ("steps", f"best {results['best_step']:,} of {results['step']:,}" if "step" in results else "not recorded"),
        *_quality(run, results, say),
        *_reach(run, say),
    ]
    front = {"library_name": "lm_jax", "tags": ["jax", "lm_jax"], "pipeline_tag": PIPELINES.get(task.model_type)}
    parts = [
        "---",
        *(f"{key}: {to_json(value)}" for key, value in front.items() if value is not None),
        "---",
        "",
        f"# {name}",
        "",
        f"{title}, a {task.model_type}, trained by lm_jax.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {_cell(value)} |" for key, value in rows),
        "",
        *(["![training and validation loss by step](loss.png)", ""] if picture else []),
        "```python",
        "from lm_jax.queries import from_pretrained",
        "",
        f'model = from_pretrained("{name}")',
        "```",
        "",
        f"Trained by `lm-jax {task.command}` with the settings in `config.json`.",
        "",
    ]
    return "\n".join(parts)


def plain(source: Any) -> str:
    """Returns where data came from without the folders of the machine."""
    return str(source).rstrip("/").rpartition("/")[2] if str(source).startswith(("/", "~", ".")) else str(source)


def _quality(run, results, say):
    """Perplexity with its interval, scored anew; where the text is not there, or there is none, what was recorded."""
    if run.task.model_type == "language model":
        say("scoring the test split")
        try:
            (row,) = compare([run])
            return [
                ("test perplexity", _with_interval(row.interval("perplexity"))),
                ("bits per character", short(row.bits_per_character)),
                ("5-gram beside it", _beside(results)),
            ]
        except UserError as error:
            say(f"the test split is not scored: {error}")
    rows = [row for row in results.get("rows", []) if row.get("split") == "test"]
    if not rows:
        return [("quality", "not measured")]
    numbers = {k: v for k, v in rows[-1].items() if k not in HIDDEN and isinstance(v, float)}
    return [(f"test {key.replace('_', ' ')}", short(value)) for key, value in numbers.items()]


def _with_interval(interval):
    if interval is None:  # beside a model of another vocabulary only
        return "not comparable"
    return f"{short(interval.estimate)} [{short(interval.low)}, {short(interval.high)}], 95 % interval"


def _beside(results):
    rows = [r for r in results.get("rows", []) if r.get("split") == "test" and "gram" in str(r.get("model"))]
    return f"{short(rows[-1]['perplexity'])} ({rows[-1]['model']})" if rows else "not recorded"


def _reach(run, say):
    """How far back the gradient reaches, of a recurrent language model."""
    if run.task.model_type != "language model" or run.model.opened is None:
        return []
    say("measuring the gradient")
    try:
        report = gradients(run)
    except UserError as error:
        say(f"the gradient is not measured: {error}")
        return []
    return [("reach of the gradient", report.answer)]


def _cell(value):
    return str(value).replace("|", "\\|").replace("\n", " ")
