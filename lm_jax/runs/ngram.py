"""An n-gram run: from a configuration to a folder with the tables of the model and its closing table."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from lm_jax.config import NGramConfig
from lm_jax.data.corpora import Corpus, load_corpus
from lm_jax.data.vocabulary import with_zero_count_type
from lm_jax.errors import one_of
from lm_jax.models.ngram import ESTIMATORS, BackoffParams, estimate
from lm_jax.models.ngram.estimate import NOT_PROBABILITIES
from lm_jax.models.ngram.model import ngram_lm
from lm_jax.models.ngram.pruning import check_thresholds
from lm_jax.models.ngram.storage import save_tables
from lm_jax.runs.folder import check_new, corpus_facts, new_folder
from lm_jax.runs.results import baselines, closing_table, table_scorer
from lm_jax.runs.sample import sample_text
from lm_jax.runs.train import Run, with_absolute_path


SHORT_NAMES = {
    "modified-kneser-ney": "MKN",
    "kneser-ney": "KN",
    "absolute-discounting": "AD",
    "witten-bell": "WB",
    "jelinek-mercer": "JM",
    "katz": "Katz",
    "add-k": "add-k",
    "stupid-backoff": "stupid back-off",
    "maximum-likelihood": "ML",
    "arpa": "ARPA",
}


def train_ngram(
    config: NGramConfig = NGramConfig(),
    run: str | Path | None = None,
    on_stage: Callable[[str], None] = lambda what: None,
) -> Run:
    """Estimates an n-gram model in a new run folder (default: the next free one below checkpoints/).

    on_stage: told in a few words what is being done. Raises UserError, before anything is written, for a request that
    cannot be carried out.
    """
    config.check()
    one_of("method", config.method, ESTIMATORS)
    check_thresholds(config.prune_counts, config.order, config.method)
    if run is not None:
        check_new(run)
    started = time.perf_counter()
    corpus = load_corpus(**dataclasses.asdict(config.data))
    config = with_absolute_path(config)
    if config.vocab_convention == "kenlm":
        corpus = dataclasses.replace(corpus, vocabulary=with_zero_count_type(corpus.vocabulary))
    on_stage(f"counting {len(corpus.train):,} tokens up to order {config.order}, {config.method}")
    params, notes = _estimate(config, corpus)
    seconds = time.perf_counter() - started
    on_stage("scoring")
    rows = _rows(config, corpus, params)
    folder = new_folder(run, f"{config.order}gram-{config.data.level}")
    folder.create(config, corpus.vocabulary, {"notes": notes, "ngrams": params.sizes, "corpus": corpus_facts(corpus)})
    save_tables(folder.tables, params)
    model = ngram_lm(config.order, len(corpus.vocabulary), corpus.vocabulary.eol_id)
    params = jax.tree.map(jnp.asarray, params)
    results: dict[str, Any] = {
        "run": str(folder.path),
        "notes": notes,
        "ngrams": params.sizes,
        "bytes": folder.tables.stat().st_size,
        "rows": rows,
        "sample": sample_text(model, params, corpus.vocabulary, jax.random.key(0)),
        "seconds": seconds,
    }
    (folder.path / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    return Run(folder.path, model, params, corpus.vocabulary, results)


def _estimate(config: NGramConfig, corpus: Corpus):
    vocabulary = corpus.vocabulary
    return estimate(
        corpus.train,
        config.order,
        len(vocabulary),
        vocabulary.eol_id,
        method=config.method,
        held_out=corpus.valid,
        k=config.k,
        prune_counts=config.prune_counts,
        max_memory=config.max_memory and config.max_memory * 2**20,
    )


def ngram_name(config: NGramConfig) -> str:
    """Such as "5-gram MKN"."""
    return f"{config.order}-gram {SHORT_NAMES[config.method]}{' pruned' if config.prune_counts else ''}"


def _rows(config: NGramConfig, corpus: Corpus, params: BackoffParams) -> list[dict[str, Any]]:
    """The closing table: the baselines, and the model if it has a perplexity."""
    how = (corpus.vocabulary.eol_id, config.eval_streams, config.mode)
    tables = baselines(corpus)
    if config.method not in NOT_PROBABILITIES:
        tables[ngram_name(config)] = params
    return closing_table(corpus, {name: table_scorer(table, *how) for name, table in tables.items()})
