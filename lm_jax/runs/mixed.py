"""Runs mixed with each other and with a cache, for a comparison: what can be mixed, and the weights of the mixture.

The weights come from the validation text by EM (lm_jax/inference/mixing.py). So a mixture is judged on the test text
alone: the validation text would flatter its weights, the training text its models.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lm_jax.errors import UserError, check_sizes
from lm_jax.inference.mixing import fit_mixture
from lm_jax.models.caches.unigram import unigram_cache
from lm_jax.runs.agreement import ReadRun
from lm_jax.runs.load import Loaded


class Mixture(NamedTuple):
    """A mixture to be compared. runs: folders, None for all that are compared; cache: tokens that a unigram cache in
    it remembers, None for no cache; name: of its row."""

    runs: Sequence[str | Path] | None = None
    cache: int | None = None
    name: str = "mixture"


def requested(mixture: bool | Sequence[Mixture], cache: int | None) -> list[Mixture]:
    """What `compare` was asked for as a list; raises UserError for a cache without a mixture, or of a size below 1."""
    if isinstance(mixture, bool):
        if cache is not None and not mixture:
            raise UserError(f"a cache is compared as a part of a mixture: give --mixture too, got --cache {cache}")
        mixtures = [Mixture(cache=cache)] if mixture else []
    elif cache is not None:
        raise UserError(f"each of the mixtures says how large its cache is, got cache={cache} beside them")
    else:
        mixtures = list(mixture)
    for one in mixtures:
        if one.cache is not None:
            check_sizes(cache=one.cache)
    return mixtures


def members(mixture: Mixture, read: Sequence[ReadRun], split: str) -> list[int]:
    """Which of the runs are mixed, each once.

    Raises UserError for a split other than "test", for fewer than two models, and for runs that are not compared,
    have different vocabularies, or read a text in different modes.
    """
    if split != "test":
        raise UserError(
            "a mixture is judged on the test split only, as it is fitted on the validation split and its models on "
            f"the training split, got {split}"
        )
    places = {Path(one.run).resolve(): place for place, one in reversed(list(enumerate(read)))}
    wanted = [one.run for one in read] if mixture.runs is None else mixture.runs
    absent = [str(run) for run in wanted if Path(run).resolve() not in places]
    if absent:
        raise UserError(f"a mixture is of runs that are compared, got {', '.join(absent)}")
    chosen = list(dict.fromkeys(places[Path(run).resolve()] for run in wanted))
    if len(chosen) + (mixture.cache is not None) < 2 or not chosen:
        got = ", ".join(read[place].run for place in chosen) or "none"
        raise UserError(f"a mixture needs two different runs, or one run and a cache (--cache), got {got}")
    _check_agreement([read[place] for place in chosen])
    return chosen


def _check_agreement(runs):
    first = runs[0]
    for other in runs[1:]:
        if other.vocabulary != first.vocabulary:
            got = " and ".join(f"{len(r.vocabulary):,} types ({r.vocabulary.level}) of {r.run}" for r in (first, other))
            raise UserError(f"a mixture needs runs of one vocabulary, the types in one order, got {got}")
    modes = _modes(runs)
    if len(modes) > 1:
        got = " and ".join(f"{mode} of {run}" for mode, run in modes.items())
        raise UserError(f"a mixture needs runs of one mode, got {got}")


def _modes(runs):
    """The modes with a run of each; an n-gram model reads a text in the same way in both, and so takes any."""
    first = {}
    for one in runs:
        if one.config.family != "ngram":
            first.setdefault(one.config.mode, one.run)
    return first


def fit(
    mixture: Mixture,
    runs: Sequence[tuple[ReadRun, Loaded, dict[str, Any]]],
    tokens: np.ndarray,
    eval_streams: int,
) -> tuple[Loaded, dict[str, Any]]:
    """The mixture of runs, and the facts of its row. runs: each with its own facts; tokens: of the validation text."""
    read, loaded, facts = zip(*runs, strict=True)
    vocabulary = loaded[0].vocabulary
    models, params = [one.model for one in loaded], [one.params for one in loaded]
    names = [one["name"] for one in facts]
    if mixture.cache is not None:
        cache = unigram_cache(len(vocabulary), mixture.cache)
        models, params = [*models, cache], [*params, cache.init(jax.random.key(0))]
        names.append(f"cache of {mixture.cache:,} tokens")
    mode = next(iter(_modes(read)), read[0].config.mode)
    model, mixed = fit_mixture(models, params, tokens, vocabulary.eol_id, eval_streams=eval_streams, mode=mode)
    weights = np.exp(np.asarray(mixed.log_weights, np.float64))
    return Loaded(model, mixed, vocabulary), {
        "name": mixture.name,
        "run": None,
        "mode": mode,
        "family": "mixture",
        **{name: _total([one[name] for one in facts if one[name] is not None]) for name in ("parameters", "ngrams")},
        "bytes": sum(one["bytes"] for one in facts),
        "training_seconds": _total([one["training_seconds"] for one in facts]),
        "weights": dict(zip(names, (weights / weights.sum()).tolist(), strict=True)),
    }


def _total(numbers):
    """The sum; None where there is nothing to add up or something is unknown."""
    return None if not numbers or None in numbers else sum(numbers)
