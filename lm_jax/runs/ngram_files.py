"""N-gram runs from and to ARPA files, and pruned ones."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lm_jax.config import DataConfig, NGramConfig
from lm_jax.data.corpora import SPLITS, load_corpus
from lm_jax.errors import UserError
from lm_jax.inference.likelihood import perplexity
from lm_jax.interop.arpa_reader import read_arpa
from lm_jax.interop.arpa_writer import write_arpa
from lm_jax.models.ngram import BackoffParams
from lm_jax.models.ngram.pruning import prune_by_entropy
from lm_jax.models.ngram.storage import load_tables, save_tables
from lm_jax.runs.folder import RunFolder, check_new, new_folder
from lm_jax.runs.results import table_scorer


def export_arpa(run: str | Path, file: str | Path) -> None:
    """Writes the model of an n-gram run as an ARPA file (.gz: compressed); UserError if it is no such run, if the file
    exists, or for an estimator whose tables an ARPA file cannot hold."""
    config, _, vocabulary, params = read_ngram_run(run)
    if Path(file).exists():
        raise UserError(f"the file to write must not exist, got {file}")
    write_arpa(file, params, vocabulary, config.method)


def import_arpa(file: str | Path, run: str | Path | None = None) -> tuple[Path, BackoffParams]:
    """Makes a run of an ARPA file, for all verbs that take a run; the folder and the tables."""
    if run is not None:
        check_new(run)
    params, vocabulary = read_arpa(file)
    config = NGramConfig(DataConfig(level=vocabulary.level), order=params.order, method="arpa")
    folder = new_folder(run, f"{params.order}gram-arpa")
    source = {"source": str(Path(file).resolve()), "sha256": None}
    folder.create(config, vocabulary, {"ngrams": params.sizes, "corpus": source})
    save_tables(folder.tables, params)
    return folder.path, params


class Pruned(NamedTuple):
    """The folder of a pruned run, and before and after: n-grams by order, bytes of the tables, perplexities."""

    folder: Path
    before: dict[str, Any]
    after: dict[str, Any]


def prune_run(run: str | Path, threshold: float, pruned: str | Path | None = None, data: str | None = None) -> Pruned:
    """A new run without the n-grams that are hardly missed (Stolcke 1998), and what it costs on valid and test.

    threshold: the largest relative change of perplexity that leaving an n-gram out may make. data: the text to measure
    on, if not the run's own.
    """
    config, record, vocabulary, params = read_ngram_run(run)
    if pruned is not None:
        check_new(pruned)
    smaller = prune_by_entropy(params, threshold)
    source = config.data if data is None else dataclasses.replace(config.data, data=data)
    measured = data is not None or record["corpus"]["sha256"] is not None
    corpus = load_corpus(**dataclasses.asdict(source), vocabulary=vocabulary) if measured else None
    folder = new_folder(pruned, f"{params.order}gram-pruned")
    facts = {name: value for name, value in record.items() if name not in ("config", "family", "python", "ngrams")}
    folder.create(config, vocabulary, {**facts, "ngrams": smaller.sizes, "pruned_at": threshold})
    save_tables(folder.tables, smaller)
    return Pruned(folder.path, _measure(config, params, corpus), _measure(config, smaller, corpus))


def read_ngram_run(run: str | Path) -> tuple[NGramConfig, dict[str, Any], Any, BackoffParams]:
    """The configuration, the facts beside it, the vocabulary and the tables of an n-gram run, without JAX."""
    folder = RunFolder(Path(run))
    config, record, vocabulary = folder.read()
    if config.family != "ngram":
        raise UserError(f"this is for runs of n-gram models, got {run}, a run of {config.model.cell}")
    return config, record, vocabulary, load_tables(folder.tables, len(vocabulary))


def _measure(config, params, corpus):
    numbers = {"ngrams": params.sizes, "bytes": sum(np.asarray(a).nbytes for arrays in params[:4] for a in arrays)}
    if corpus is None:
        return numbers
    score = table_scorer(params, corpus.vocabulary.eol_id, config.eval_streams, config.mode)
    return numbers | {split: perplexity(score(getattr(corpus, split), split)) for split in SPLITS[1:]}
