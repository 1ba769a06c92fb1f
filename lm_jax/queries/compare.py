"""Comparison of runs on the same text: a row each, with intervals, and a paired test against the row above.

A perplexity is per token, so it compares only where the tokens are the same. Runs with different vocabularies get
none; what compares then are bits per character of the text, as far as the tokens of a run spell it out.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lm_jax.cells.user import has_user_cell
from lm_jax.data.texts import check_split
from lm_jax.errors import UserError, check_sizes
from lm_jax.queries.block_scores import BlockScores, score_blocks
from lm_jax.queries.compared_model import ComparedModel
from lm_jax.queries.comparison_rows import ComparedText, comparison_rows
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_loaded, as_opened, check_model_type
from lm_jax.queries.mixtures import Mixture, fit_runs, mixed_runs, requested_mixtures
from lm_jax.queries.run_size import run_size
from lm_jax.queries.same_text import same_streams, same_text
from lm_jax.queries.scorable import check_scorable
from lm_jax.report import comparison_table
from lm_jax.report.comparison_row import ComparisonRow
from lm_jax.report.rows import Rows
from lm_jax.runs.results import Run


FEWEST_SAMPLES = 100


def compare(
    runs: Sequence[RunLike],
    data: str | None = None,
    split: str = "test",
    *,
    mixture: bool | Sequence[Mixture] = False,
    cache: int | None = None,
    eval_streams: int | None = None,
    samples: int = 2000,
    seed: int = 0,
    sort: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cell: UserCell | None = None,
) -> list[ComparisonRow]:
    """Scores one split of one text under every run, with intervals and paired tests.

    Args:
        runs: Folders of runs, or runs that are loaded. One may be given twice: its difference is 0.
        data: A text as `DataConfig.data` names it. Default: the runs' own, which must be one and the same.
        split: "train", "valid", "test" or "all".
        mixture: One more row, the mixture of all the runs (and of a unigram cache of `cache` tokens, if given), with
            weights that are fitted on the validation split of the same data; or a list, a row for each of its
            mixtures.
        cache: Tokens that a unigram cache in the mixture remembers.
        eval_streams: Parallel streams that the text is cut into. Default: the runs' own number.
        samples: Resamples of an interval and sign flips of a test (lm_jax/inference/significance.py).
        seed: Seed of both.
        sort: By bits per character, best first, instead of the order given.
        progress: Called with (done, in all), over all models.
        cell: The user's own cell, for the runs that were trained with one.

    Returns:
        A row for each run, then for each mixture.

    Raises:
        UserError: For what is no run, a split or number that cannot be, runs of different texts without `data` or of
            different eval_streams, scores that are not probabilities, a text that a vocabulary cannot encode, and a
            mixture that cannot be (lm_jax/queries/mixtures.py), such as on another split than the test split.
    """
    _check_request(runs, split, eval_streams, samples, seed)
    mixtures = requested_mixtures(mixture, cache)
    opened = [as_opened(run) for run in runs]
    for run in opened:
        check_model_type(run)
        check_scorable(run, data)
    chosen = [mixed_runs(requested, opened, split) for requested in mixtures]
    streams = same_streams(opened) if eval_streams is None else eval_streams
    source, text = same_text(opened, data, split)
    encoded = [_encode(run, text) for run in opened]
    held_out = [_encode(opened[places[0]], same_text(opened, data, "valid")[1]) for places in chosen]
    loaded = _load(runs, opened, cell)
    share = functools.partial(_share_of, progress, len(runs) + len(mixtures))
    results: list[tuple[ComparedModel, BlockScores]] = []
    for name, run, tokens in zip(_names([run.run for run in loaded]), loaded, encoded, strict=True):
        model = _compared(name, run)
        results.append((model, _score(model, tokens, text, streams, share(len(results)))))
    for requested, places, tokens in zip(mixtures, chosen, held_out, strict=True):
        model = fit_runs(requested, [opened[i] for i in places], [results[i][0] for i in places], tokens, streams)
        results.append((model, _score(model, encoded[places[0]], text, streams, share(len(results)))))
    if progress is not None:
        progress(1, 1)
    if sort:
        results.sort(key=lambda pair: pair[1].nats.sum())
    return Rows(comparison_rows(results, ComparedText(source, split, text), samples, seed), comparison_table.table)


def _check_request(runs, split, eval_streams, samples, seed):
    if isinstance(runs, str | Path | LoadedRun | Run) or not runs:
        raise UserError(f"a comparison needs a list of at least one run folder, got {runs!r}")
    check_split(split)
    if eval_streams is not None:
        check_sizes(eval_streams=eval_streams)
    check_sizes(samples=samples)
    if samples < FEWEST_SAMPLES:
        rule = f"samples must be at least {FEWEST_SAMPLES} for the tails of an interval"
        raise UserError(f"{rule}, got {samples}", ["samples"])
    if not isinstance(seed, int) or seed < 0:
        raise UserError(f"seed must be a whole number of at least 0, got {seed!r}", ["seed"])


def _encode(run, text):
    try:
        return run.vocabulary.encode(text)
    except UserError as error:
        raise UserError(f"{error} ({run.path})", error.settings) from error


def _load(runs, opened, cell):
    """Loads every run with its model. The user's cell is for the runs that need one;
    if none does, loading refuses it."""
    needs = [has_user_cell(run.config) for run in opened]
    return [as_loaded(run, cell if need or not any(needs) else None) for run, need in zip(runs, needs, strict=True)]


def _names(runs):
    """Returns the last part of each path; the whole path where two different runs share it."""
    folders = [Path(run).expanduser().resolve() for run in runs]
    last = [folder.name for folder in set(folders)]
    return [run if last.count(f.name) > 1 else f.name for run, f in zip(runs, folders, strict=True)]


def _compared(name: str, run: LoadedRun) -> ComparedModel:
    return ComparedModel(
        name=name,
        run=run.run,
        mode=run.config.mode,
        family=run.task.family(run.config),
        size=run_size(run),
        weights=None,
        model=run.model,
        params=run.params,
        vocabulary=run.vocabulary,
    )


def _score(model, tokens, text, streams, progress):
    scores = score_blocks(model, tokens, text, streams, progress)
    if np.isnan(scores.nats).any():
        raise UserError(f"log-probabilities must be numbers, got nan from {model.run or model.name}")
    return scores


def _share_of(progress, models, number):
    """Returns the progress of one model of many as that of all."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, models * total)
