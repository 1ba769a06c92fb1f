"""The task of an n-gram language model: its tables are estimated from counts."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from lm_jax.config import NGramConfig
from lm_jax.config.estimators import ESTIMATORS, SHORT_NAMES
from lm_jax.data.vocabulary import Vocabulary, with_zero_count_type
from lm_jax.errors import UserError, one_of
from lm_jax.models.ngram import BackoffParams
from lm_jax.models.ngram.estimate import estimate, has_perplexity
from lm_jax.models.ngram.model import ngram_lm
from lm_jax.models.ngram.pruning import check_thresholds
from lm_jax.models.ngram.storage import load_tables, save_tables
from lm_jax.tasks import language_model as lm
from lm_jax.tasks.base import Estimate, Estimation, Task
from lm_jax.tasks.closing_table import table_scorer
from lm_jax.tasks.text_closing import closing as text_closing
from lm_jax.tasks.text_paths import with_absolute_data, with_data


TABLES = "tables.npz"


def _name(settings):
    return f"{settings.order}-gram {SHORT_NAMES[settings.method.kind]}{' pruned' if settings.prune_counts else ''}"


def _load(settings, saved):
    corpus = lm.load(settings, saved)
    if settings.vocab_convention == "kenlm" and saved is None:
        corpus = dataclasses.replace(corpus, vocabulary=with_zero_count_type(corpus.vocabulary))
    return corpus


def _check(settings):
    one_of("method", settings.method.kind, ESTIMATORS)
    check_thresholds(settings.prune_counts, settings.order, settings.method.kind)


def _estimate(settings, corpus, on_stage):
    tokens, vocabulary = corpus.train, corpus.vocabulary
    on_stage(f"counting {len(tokens):,} tokens up to order {settings.order}, {settings.method.kind}")
    params, notes = estimate(
        tokens,
        settings.order,
        len(vocabulary),
        vocabulary.eol_id,
        method=settings.method,
        held_out=corpus.valid,
        prune_counts=settings.prune_counts,
        max_memory=_max_memory(settings),
    )
    notes = [corpus.reading, *notes] if corpus.reading else notes
    return Estimate(params, notes, {"ngrams": params.sizes})


def _max_memory(settings):
    return None if settings.max_memory is None else settings.max_memory * 2**20


def _read_tables(path, vocabulary):
    return jax.tree.map(jnp.asarray, load_tables(path, len(vocabulary)))


def _model(settings, vocabulary):
    return ngram_lm(settings.order, len(vocabulary), vocabulary.eol_id)


def _close(settings, corpus, model, params, key, progress):
    del progress
    reading = lm.reading_of(settings, corpus.vocabulary)
    own = {_name(settings): table_scorer(params, reading)} if has_perplexity(settings.method.kind) else {}
    remarks = [f"n-grams of order 1 to {len(params.sizes)}: {', '.join(f'{size:,}' for size in params.sizes)}"]
    bound, size = _max_memory(settings), sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    if bound is None or 2 * size <= bound:  # JAX has arrays of its own
        text = lm.sample(settings, corpus.vocabulary, model, jax.tree.map(jnp.asarray, params), key)
    else:
        text = ""
        remarks.append(f"no sample: tables of {size / 2**20:,.0f} MiB are read whole for it, too much for max_memory")
    closing = text_closing(corpus, reading, own, text, max_memory=bound)
    return closing._replace(remarks=(*closing.remarks, *remarks))


def _scores(settings):
    return None if has_perplexity(settings.method.kind) else settings.method.kind


def tables_of(settings: Any, path: Path, vocabulary: Vocabulary) -> BackoffParams:
    """Reads the tables of an n-gram run as numpy arrays.

    Args:
        settings: of the run.
        path: its folder.
        vocabulary: its vocabulary.

    Raises:
        UserError: for a run of another task.
    """
    if settings.task != "ngram":
        raise UserError(f"this is for runs of n-gram models, got {path}, a run of task {settings.task}")
    return load_tables(path / TABLES, len(vocabulary))


NGRAM = Task(
    config=NGramConfig,
    name=_name,
    folder_name=lambda settings: f"{settings.order}gram-{settings.data.level}",
    family=lambda settings: "n-gram",
    load=_load,
    choose=lm.choose,
    read_vocabulary=Vocabulary.load,
    model=_model,
    validate=lm.validate,
    close=_close,
    sample=lm.sample,
    evaluate=lm.evaluate,
    scores=_scores,
    estimation=Estimation(check=_check, estimate=_estimate, file=TABLES, save=save_tables, read=_read_tables),
    loss_label=lm.loss_label,
    with_absolute_paths=with_absolute_data,
    movable=("data",),
    stream=lambda corpus: corpus.stream,
    with_data=with_data,
    unit="tokens",
    command="ngram train",
)
