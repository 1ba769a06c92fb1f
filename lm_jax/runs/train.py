"""A training run from start to finish, and from where it was stopped: `lm-jax train` in a few functions.

Everything that can go wrong with a request goes wrong before the run folder is made.
"""

import contextlib
import dataclasses
import functools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lm_jax.config import NGramConfig, TrainConfig, from_dict
from lm_jax.data.corpora import load_corpus, load_texts
from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError
from lm_jax.inference.likelihood import likelihood
from lm_jax.models.language_model import LanguageModel
from lm_jax.models.window import position_norms
from lm_jax.report.figures import draw_loss_curve
from lm_jax.report.telemetry_figure import draw_telemetry
from lm_jax.runs.folder import RunFolder, check_new, corpus_facts, new_folder, read_lines
from lm_jax.runs.mirror import check_free, home_of, mirrored, move_home
from lm_jax.runs.results import (
    baselines,
    bits_per,
    closing_table,
    count_parameters,
    model_scorer,
    table_scorer,
    unknown_rate,
)
from lm_jax.runs.sample import sample_text
from lm_jax.runs.setup import Setup, build_batches, model_name, set_up, start_facts, total_steps
from lm_jax.runs.signals import stop_on_signal
from lm_jax.training import loop
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.training.compile_time import telling_compilation
from lm_jax.training.devices import find_devices
from lm_jax.training.processes import is_first, on_first
from lm_jax.training.state import TrainState
from lm_jax.types import Params


CHANGEABLE = ("epochs", "steps", "log_every", "telemetry_every", "checkpoint_every", "devices", "vocab_shards")


class Listener(NamedTuple):
    """What a run tells while it goes on; each a function of plain values. The default says nothing."""

    on_start: Callable[[dict[str, Any]], None] = lambda facts: None
    on_dispatch: Callable[[int], None] = lambda step: None
    on_report: Callable[[dict[str, Any], dict[str, Any]], None] = lambda record, times: None
    on_validation: Callable[[dict[str, Any], str], None] = lambda record, sample: None
    on_scoring: Callable[[str, int, int], None] = lambda what, done, total: None
    on_end: Callable[[dict[str, Any]], None] = lambda results: None
    on_telemetry: Callable[[dict[str, Any]], None] = lambda record: None
    on_compilation: Callable[[dict[str, Any]], None] = lambda compilation: None


class Run(NamedTuple):
    """A trained run: its folder, the model, the parameters of the best step, the vocabulary, the closing results."""

    folder: Path
    model: LanguageModel
    params: Params
    vocabulary: Vocabulary
    results: dict[str, Any]


def train(
    config: TrainConfig = TrainConfig(),
    run: str | Path | None = None,
    listener: Listener = Listener(),
    mirror: str | Path | None = None,
) -> Run:
    """Trains a language model in a new run folder (default: the next free one below checkpoints/).

    mirror: a folder, such as one on a mounted Drive, where a copy of the run folder is kept up to date.
    Raises UserError, before anything is written, for a request that cannot be carried out.
    """
    config.check()
    devices = find_devices(config.devices, config.vocab_shards)
    if run is not None:
        on_first(lambda: str(check_new(run)))  # a folder in use is refused before the corpus is read
    if mirror is not None:
        on_first(lambda: check_free(run, mirror))
    corpus = load_corpus(**dataclasses.asdict(config.data))
    devices.check_vocabulary(len(corpus.vocabulary))
    config = with_absolute_path(config)
    horizon = total_steps(config, build_batches(config, corpus))
    setup = set_up(config, corpus, horizon, devices)
    state = setup.create()
    kind = config.model.cell if config.model.model == "recurrent" else config.model.model
    facts = {"decay_horizon": horizon, "corpus": corpus_facts(corpus)}

    def make_folder():
        folder = new_folder(run, f"{kind}-{config.data.level}", mirror)
        folder.create(config, corpus.vocabulary, facts)
        return str(folder.path)

    folder = RunFolder(Path(on_first(make_folder)), writes=is_first())
    return _go(setup, folder, state, loop.History(), listener, mirror)


def resume(
    run: str | Path,
    config: TrainConfig | None = None,
    listener: Listener = Listener(),
    mirror: str | Path | None = None,
    into: str | Path | None = None,
) -> Run:
    """Goes on with a run from its newest checkpoint, bit for bit as if it had never been stopped.

    config: the run's own with other epochs, steps, log_every, telemetry_every, checkpoint_every, devices
    or vocab_shards.
    mirror: as in `train`. into: a new folder that the run is copied to and goes on in; a run that lies in the mirror
    goes on in checkpoints/NAME, any other in its own folder. Raises UserError for any other change, for a folder that
    is no run, and for a corpus that is not the one the run began with.
    """
    folder = RunFolder(Path(run).expanduser())
    home = Path(on_first(lambda: str(home_of(folder.path, into, mirror))))
    saved, record, vocabulary = folder.read_resumable()
    config = saved if config is None else _merge(saved, config)
    config.check()
    devices = find_devices(config.devices, config.vocab_shards)
    texts = load_texts(config.data.data, config.data.level, config.data.text_column)
    if texts.sha256 != record["corpus"]["sha256"]:
        raise UserError(
            f"a run goes on with the text it began with ({record['corpus']['source']}), "
            f"got another text from {texts.source}"
        )
    corpus = load_corpus(**dataclasses.asdict(config.data), vocabulary=vocabulary)
    devices.check_vocabulary(len(vocabulary))
    setup = set_up(config, corpus, record["decay_horizon"], devices)
    state, history = setup.create(), loop.History()
    moved = on_first(lambda: str(move_home(folder, home, mirror, CHANGEABLE).path))
    folder = RunFolder(Path(moved), writes=is_first())
    with Checkpoints(folder.states) as states:
        restored = states.restore_newest(state)
    if restored is not None:
        state, host = restored
        _refuse_changes(dataclasses.asdict(from_dict(TrainConfig, host["config"])), dataclasses.asdict(config))
        history = loop.History(**host["history"])
    if setup.plan.steps < int(state.step):
        raise UserError(f"a resumed run ends after the step it is at, {int(state.step)}, got {setup.plan.steps} steps")
    folder.cut_back(int(state.step))
    folder.update_config(config)
    return _go(setup, folder, state, history, listener, mirror)


def with_absolute_path(config: TrainConfig | NGramConfig) -> TrainConfig | NGramConfig:
    """The configuration with a data path that holds from every folder."""
    data = config.data.data
    if data is None or not Path(data).expanduser().exists():  # then it is the name of a data set
        return config
    absolute = str(Path(data).expanduser().resolve())
    return dataclasses.replace(config, data=dataclasses.replace(config.data, data=absolute))


def _merge(saved: TrainConfig, config: TrainConfig) -> TrainConfig:
    """`config`, if it differs from the saved one only where it may; the text may have moved (its sha256 is checked)."""
    if config.epochs != saved.epochs and config.steps == saved.steps:
        config = dataclasses.replace(config, steps=None)
    _refuse_changes(dataclasses.asdict(saved), dataclasses.asdict(config))
    return with_absolute_path(config)


def _refuse_changes(saved, wanted):
    for name, value in saved.items():
        if isinstance(value, dict):
            _refuse_changes(value, wanted[name])
        elif value != wanted[name] and name not in (*CHANGEABLE, "data"):
            raise UserError(
                f"a resumed run may change {', '.join(CHANGEABLE)} only, "
                f"got {name} = {wanted[name]} (the run has {value})"
            )


def _go(setup, folder, state, history, listener, mirror) -> Run:
    tell = _on_compilation(folder, listener, int(state.step))
    return loop.drive(
        telling_compilation(setup.train_steps, tell), course_of_run(setup, folder, state, history, listener, mirror)
    )


def course_of_run(
    setup: Setup,
    folder: RunFolder,
    state: TrainState,
    history: loop.History,
    listener: Listener,
    mirror: str | Path | None = None,
    stopped: threading.Event | None = None,
) -> loop.Course[Run]:
    """Trains from `state` to the end of the plan, or to a signal, and closes the run; whoever drives it does the steps.

    stopped: what the run looks at instead of signals.
    """
    started, first_step = time.perf_counter(), int(state.step)
    copies = {} if mirror is None else {"mirror": str(mirror)}
    listener = listener if folder.writes else Listener()
    listener.on_start(start_facts(setup, folder.path, state) | copies)
    with mirrored(folder.path, mirror if folder.writes else None) as on_checkpoint:
        asked = stop_on_signal() if stopped is None else contextlib.nullcontext(stopped)
        with Checkpoints(folder.states) as states, asked as stopped:
            hooks = _hooks(setup, folder, listener, states, stopped, on_checkpoint)
            state, history = yield from loop.course(
                state, setup.batches, setup.plan, hooks, setup.learning_rate, history, setup.devices
            )
            best_step = states.best_step
            params = states.load_params(state.evaluation_params)
        results = _results(setup, folder, state, history, params, listener) | {"best_step": best_step} | copies
        seconds = time.perf_counter() - started
        folder.append(folder.times, {"step": results["step"], "session_seconds": seconds, "from": first_step})
        results["seconds"] = sum(r.get("session_seconds", 0.0) for r in read_lines(folder.times))
        if folder.writes:
            (folder.path / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    listener.on_end(results)
    return Run(folder.path, setup.model, params, setup.corpus.vocabulary, results)


def _on_compilation(folder, listener, step):
    def tell(compilation):
        folder.append(folder.times, {"step": step, "compilation": compilation._asdict()})
        listener.on_compilation(compilation._asdict())

    return tell


def _results(setup, folder, state, history, params, listener):
    """The closing pictures, the table and a sample; of a stopped run no table."""
    config, corpus, step = setup.config, setup.corpus, int(state.step)
    _draw(folder, config)
    results = {
        "run": str(folder.path),
        "step": step,
        "stopped": step < setup.plan.steps and not history.finished,
        "finished_early": history.finished,
        "parameters": count_parameters(params),
        "rows": [],
    }
    if config.model.model == "window":
        results["position_norms"] = position_norms(params).tolist()
    if not results["stopped"]:
        results["rows"] = closing_table(corpus, _scorers(setup, params, listener))
        results["sample"] = _sample(setup, params, step)
    return results


def _draw(folder, config):
    if folder.writes:
        records = read_lines(folder.metrics)
        draw_loss_curve(records, folder.figure, config.data.level)
        draw_telemetry(records, folder.telemetry, config.data.level)


def _scorers(setup, params, listener):
    """The n-gram models of the training text and the run's own model, for the closing table."""
    config, corpus = setup.config, setup.corpus
    how = (corpus.vocabulary.eol_id, config.eval_streams, config.mode)
    scorers = {name: table_scorer(tables, *how) for name, tables in baselines(corpus).items()}
    return scorers | {model_name(config): model_scorer(setup.model, params, *how, listener.on_scoring)}


def _hooks(setup, folder, listener, states, stopped, on_checkpoint):
    config, corpus = setup.config, setup.corpus

    def validate(params):
        eol_id = corpus.vocabulary.eol_id
        scored = likelihood(
            setup.model,
            setup.devices.local(params),
            corpus.valid,
            eol_id,
            eval_streams=config.eval_streams,
            mode=config.mode,
            progress=functools.partial(listener.on_scoring, "validating"),
        )
        return scored.cross_entropy

    def save(state, history, valid_loss):
        facts = {"history": history, "config": dataclasses.asdict(config), "vocabulary": corpus.vocabulary.sha256}
        states.save(state, facts, valid_loss)
        on_checkpoint()

    def on_report(record, times):
        folder.append(folder.metrics, record)
        folder.append(folder.times, times)
        listener.on_report(record, times)

    def on_telemetry(record, params):
        record = {"step": record["step"], "telemetry": setup.measure(setup.devices.local(params), record["grad_norm"])}
        folder.append(folder.metrics, record)
        listener.on_telemetry(record)

    def on_validation(record, params):
        record = {**record, **_beside_perplexity(corpus, "valid", record["valid_loss"])}
        folder.append(folder.metrics, record)
        listener.on_validation(record, _sample(setup, setup.devices.local(params), record["step"]))
        if folder.writes:
            draw_loss_curve(read_lines(folder.metrics), folder.figure, config.data.level)

    return loop.Hooks(
        validate=validate,
        save=save,
        on_report=on_report,
        on_validation=on_validation,
        on_dispatch=listener.on_dispatch,
        on_telemetry=on_telemetry,
        should_stop=stopped.is_set,
    )


def _beside_perplexity(corpus, split, loss):
    """What makes a perplexity comparable across vocabularies."""
    tokens = getattr(corpus, split)
    return {
        "bits_per_byte": bits_per(corpus.bytes[split], loss, len(tokens)),
        "unk_rate": unknown_rate(corpus.vocabulary, tokens),
    }


def _sample(setup, params, step):
    """A text to look at; its randomness is its own, so that training does not depend on it."""
    key = jax.random.fold_in(jax.random.key(setup.config.seed), step)
    return sample_text(setup.model, params, setup.corpus.vocabulary, key)
