"""Training by one call: `lm_jax.train("my.txt", cell="gru", lr=1e-3)`.

Keywords are the flags of the command line with underscores, and become a configuration in the same way
(lm_jax/config/given.py). The functions of lm_jax/runs, which these call, take a configuration and say nothing.
"""

from pathlib import Path
from typing import Any

from lm_jax import runs
from lm_jax.config import ClassifyConfig, NGramConfig, TagConfig, TrainConfig, TranslateConfig
from lm_jax.interactive.progress import Hearing, hearing
from lm_jax.interactive.request import check_paths, requested_config
from lm_jax.runs import Run, SeedRuns
from lm_jax.runs.open import open_run


Data = str | Path
Settings = Any


def train(
    data: Data | TrainConfig | Any = None,
    run: str | Path | None = None,
    listener: Hearing = "auto",
    mirror: str | Path | None = None,
    **settings: Settings,
) -> Run:
    """Trains a language model on a text, in a new run folder.

    Args:
        data: the text: a file, a folder or the name of a known one. A configuration is taken too, of this task or of
            any other; the settings change it. Default: the Python documentation that every CPython carries.
        run: the folder of the run; default: the next free one below checkpoints/.
        listener: hears the events of the run. "auto" shows the progress in a terminal or a notebook and is silent
            elsewhere, "print" prints it as lines wherever the output goes, None is silent.
        mirror: a folder, such as one on a mounted drive, where a copy of the run folder is kept up to date.
        **settings: any setting by the name of its flag, such as cell="gru", hidden_size=128, lr=1e-3, steps=200;
            `lm-jax train --help-all` lists them.

    Returns:
        The finished run: folder, model, best parameters, vocabulary, results.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    return _train(TrainConfig, data, settings, run, listener, mirror)


def train_ngram(
    data: Data | NGramConfig | None = None,
    run: str | Path | None = None,
    listener: Hearing = "auto",
    **settings: Settings,
) -> Run:
    """Estimates an n-gram model of a text, in a new run folder: `lm-jax ngram train`.

    Args:
        data: as of `train`; or an `NGramConfig`.
        run: the folder of the run.
        listener: as of `train`.
        **settings: such as order=3, method="katz"; `lm-jax ngram train --help-all` lists them.

    Returns:
        The run, as of `train`.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    return _train(NGramConfig, data, settings, run, listener)


def train_classifier(
    data: Data | ClassifyConfig | None = None,
    run: str | Path | None = None,
    listener: Hearing = "auto",
    mirror: str | Path | None = None,
    **settings: Settings,
) -> Run:
    """Trains a classifier of texts, in a new run folder: `lm-jax classify train`.

    Args:
        data: labelled texts, as a file or a folder; or a `ClassifyConfig`. Default: passages of the Python library.
        run: the folder of the run.
        listener: as of `train`.
        mirror: as of `train`.
        **settings: such as pooling="attention"; `lm-jax classify train --help-all` lists them.

    Returns:
        The run, as of `train`.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    return _train(ClassifyConfig, data, settings, run, listener, mirror)


def train_tagger(
    data: Data | TagConfig | None = None,
    run: str | Path | None = None,
    listener: Hearing = "auto",
    mirror: str | Path | None = None,
    **settings: Settings,
) -> Run:
    """Trains a tagger of words, in a new run folder: `lm-jax tag train`.

    Args:
        data: tagged sentences, as a file or a folder; or a `TagConfig`. Default: names in the Python library.
        run: the folder of the run.
        listener: as of `train`.
        mirror: as of `train`.
        **settings: such as output="crf"; `lm-jax tag train --help-all` lists them.

    Returns:
        The run, as of `train`.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    return _train(TagConfig, data, settings, run, listener, mirror)


def train_translator(
    data: Data | TranslateConfig | None = None,
    run: str | Path | None = None,
    listener: Hearing = "auto",
    mirror: str | Path | None = None,
    **settings: Settings,
) -> Run:
    """Trains a translator on pairs of sentences, in a new run folder: `lm-jax translate train`.

    Args:
        data: parallel text, as a file or a folder; or a `TranslateConfig`. Default: dates in many forms.
        run: the folder of the run.
        listener: as of `train`.
        mirror: as of `train`.
        **settings: such as attention="plain"; `lm-jax translate train --help-all` lists them.

    Returns:
        The run, as of `train`.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    return _train(TranslateConfig, data, settings, run, listener, mirror)


def train_seeds(
    data: Data | TrainConfig | Any = None,
    seeds: int = 2,
    run: str | Path | None = None,
    listener: Hearing = "auto",
    **settings: Settings,
) -> SeedRuns:
    """Trains several seeds side by side, `seed` and those after it, in new folders RUN/seed-N.

    Args:
        data: as of `train`.
        seeds: how many, at least 2.
        run: the folder of all; default: the next free one below checkpoints/.
        listener: as of `train`; it hears means over the runs, and at the end `SeedResults`.
        **settings: as of `train`.

    Returns:
        The runs in the order of their seeds, and their results together.

    Raises:
        UserError: before anything is written, for a request that cannot be carried out.
    """
    check_paths(run=run)
    config = requested_config(TrainConfig, data, settings)
    config.check()
    with hearing(listener, "seeds") as heard:
        return runs.train_seeds(config, seeds, run, heard)


def resume(
    run: str | Path,
    config: Any = None,
    listener: Hearing = "auto",
    mirror: str | Path | None = None,
    into: str | Path | None = None,
    from_step: int | None = None,
    **settings: Settings,
) -> Run:
    """Goes on with a run from its newest checkpoint, bit for bit as if it had never been stopped.

    With `from_step`: begins a new run in `into` from that step of this one, which stays as it is.

    Args:
        run: the folder of the run.
        config: the run's own settings with some changed, instead of `settings`.
        listener: as of `train`.
        mirror: as of `train`.
        into: a new folder that the run is copied to and goes on in. Default: a run that lies in the mirror goes on in
            checkpoints/NAME, any other in its own folder.
        from_step: a step that the run has a checkpoint of.
        **settings: what changes, such as epochs=16: epochs, steps, log_every, telemetry_every, checkpoint_every,
            devices, vocab_shards, device_tokens; with from_step learning_rate, clip, on_nonfinite, on_spike and
            good_states too. cell: the user's own cell that the run was trained with.

    Returns:
        The run, as of `train`.

    Raises:
        UserError: for any other change, for a folder that is no run, and for data that the run did not begin with.
    """
    check_paths(run=run, mirror=mirror, into=into)
    if settings:
        base = open_run(run).config if config is None else config
        config = requested_config(type(base), base, settings)
    with hearing(listener, "steps") as heard:
        return runs.resume(run, config, heard, mirror, into, from_step)


def _train(cls, data, settings, run, listener, mirror=None):
    check_paths(run=run, mirror=mirror)
    config = requested_config(cls, data, settings)
    config.check()
    with hearing(listener, "steps" if hasattr(config, "optimizer") else "estimate") as heard:
        return runs.train(config, run, heard, mirror)
