"""Runs mixed with each other and with a cache, for a comparison: what can be mixed, and the weights of the mixture.

The weights come from the validation text by EM (lm_jax/inference/mixture_weights.py). So a mixture is judged on the
test text alone: the validation text would flatter its weights, the training text its models.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.mixture_weights import fit_mixture
from lm_jax.models.caches.unigram import unigram_cache
from lm_jax.queries.compared_model import ComparedModel
from lm_jax.queries.run_size import RunSize
from lm_jax.runs.open import OpenedRun
from lm_jax.short_repr import shortly_shown


@shortly_shown
class Mixture(NamedTuple):
    """A mixture to be compared.

    runs: folders, None for all that are compared. cache: tokens that a unigram cache in it remembers, None for no
    cache. name: of its row.
    """

    runs: Sequence[str | Path] | None = None
    cache: int | None = None
    name: str = "mixture"


def requested_mixtures(mixture: bool | Sequence[Mixture], cache: int | None) -> list[Mixture]:
    """Returns the mixtures that `compare` was asked for; UserError for a cache without a mixture,
    or of a size below 1."""
    if isinstance(mixture, bool):
        if cache is not None and not mixture:
            raise UserError(
                f"cache must go with mixture, whose part it is, got cache {cache} alone", ["cache", "mixture"]
            )
        mixtures = [Mixture(cache=cache)] if mixture else []
    elif cache is not None:
        raise UserError(f"each of the mixtures says how large its cache is, got cache={cache} beside them")
    else:
        mixtures = list(mixture)
    for requested in mixtures:
        if requested.cache is not None:
            check_sizes(cache=requested.cache)
    return mixtures


def mixed_runs(mixture: Mixture, runs: Sequence[OpenedRun], split: str) -> list[int]:
    """Returns the places of the runs that are mixed, each once.

    Args:
        mixture: What is asked for.
        runs: All that are compared.
        split: The split that they are compared on.

    Returns:
        Places in `runs`.

    Raises:
        UserError: For a split other than "test", for fewer than two models, and for runs that are not compared, have
            different vocabularies, or read a text in different modes.
    """
    if split != "test":
        raise UserError(
            "a mixture is judged on the test split only, as it is fitted on the validation split and its models on "
            f"the training split, got {split}"
        )
    places = {run.path.resolve(): place for place, run in reversed(list(enumerate(runs)))}
    wanted = [run.path for run in runs] if mixture.runs is None else mixture.runs
    absent = [str(path) for path in wanted if Path(path).expanduser().resolve() not in places]
    if absent:
        raise UserError(f"a mixture is of runs that are compared, got {', '.join(absent)}")
    chosen = list(dict.fromkeys(places[Path(path).expanduser().resolve()] for path in wanted))
    if len(chosen) + (mixture.cache is not None) < 2 or not chosen:
        got = ", ".join(str(runs[place].path) for place in chosen) or "none"
        raise UserError(f"a mixture needs two different runs, or one run with cache given, got {got}", ["cache"])
    _check_same([runs[place] for place in chosen])
    return chosen


def _check_same(runs):
    """Refuses models of more than one vocabulary or mode."""
    first = runs[0]
    for other in runs[1:]:
        if other.vocabulary != first.vocabulary:
            got = " and ".join(
                f"{len(r.vocabulary):,} entries ({r.vocabulary.level}) of {r.path}" for r in (first, other)
            )
            raise UserError(f"a mixture needs runs of one vocabulary, the entries in one order, got {got}")
    modes = _modes(runs)
    if len(modes) > 1:
        got = " and ".join(f"{mode} of {path}" for mode, path in modes.items())
        raise UserError(f"a mixture needs runs of one mode, got {got}")


def _modes(runs):
    """Returns the modes that runs need, with a run of each."""
    first = {}
    for run in runs:
        mode = run.task.required_mode(run.config)
        if mode is not None:
            first.setdefault(mode, run.path)
    return first


def fit_runs(
    mixture: Mixture,
    runs: Sequence[OpenedRun],
    models: Sequence[ComparedModel],
    tokens: np.ndarray,
    eval_streams: int,
) -> ComparedModel:
    """Fits the mixture of runs.

    Args:
        mixture: Its name and its cache.
        runs: Those that are mixed.
        models: Their models, in the same order.
        tokens: The validation text, ids [N].
        eval_streams: Parallel streams that it is cut into.

    Returns:
        The mixture; its parameters, n-grams, bytes and training seconds are the sums of its runs'.
    """
    vocabulary, names = models[0].vocabulary, [part.name for part in models]
    parts, params = [part.model for part in models], [part.params for part in models]
    if mixture.cache is not None:
        cache = unigram_cache(len(vocabulary), mixture.cache)
        parts, params = [*parts, cache], [*params, cache.init(jax.random.key(0))]
        names.append(f"cache of {mixture.cache:,} tokens")
    mode = next(iter(_modes(runs)), runs[0].config.mode)
    model, fitted = fit_mixture(parts, params, tokens, vocabulary.eol_id, eval_streams=eval_streams, mode=mode)
    weights = np.exp(np.asarray(fitted.log_weights, np.float64))
    return ComparedModel(
        name=mixture.name,
        run=None,
        mode=mode,
        family="mixture",
        size=_total([part.size for part in models]),
        weights=dict(zip(names, (weights / weights.sum()).tolist(), strict=True)),
        model=model,
        params=fitted,
        vocabulary=vocabulary,
    )


def _total(sizes: Sequence[RunSize]) -> RunSize:
    parameters, ngrams = ([n for n in column if n is not None] for column in list(zip(*sizes, strict=True))[:2])
    seconds = [size.training_seconds for size in sizes if size.training_seconds is not None]
    return RunSize(
        parameters=sum(parameters) if parameters else None,
        ngrams=sum(ngrams) if ngrams else None,
        bytes=sum(size.bytes for size in sizes),
        training_seconds=sum(seconds) if len(seconds) == len(sizes) else None,
    )
