"""N-gram runs from and to ARPA files, and pruned ones."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lm_jax.config import DataConfig, NGramConfig
from lm_jax.data.corpora import Corpus, load_corpus
from lm_jax.errors import UserError
from lm_jax.inference.likelihood import perplexity
from lm_jax.interop.arpa_reader import read_arpa
from lm_jax.interop.arpa_writer import write_arpa
from lm_jax.models.ngram import BackoffParams
from lm_jax.models.ngram.pruning import prune_by_entropy
from lm_jax.models.ngram.storage import save_tables
from lm_jax.runs.folder import check_new, new_folder
from lm_jax.runs.lock import claimed
from lm_jax.runs.open import OpenedRun, open_run
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks.closing_table import table_scorer
from lm_jax.tasks.language_model import reading_of
from lm_jax.tasks.ngram import TABLES, tables_of


WRITTEN_ANEW = ("python", "ngrams")  # in the record of a pruned run


@shortly_shown
class ImportedModel(NamedTuple):
    """The folder of a run that was made of an ARPA file, and its tables."""

    folder: Path
    params: BackoffParams


@shortly_shown
class TableReport(NamedTuple):
    """An n-gram model: n-grams by order, bytes of its tables, and perplexities, None where there was no text."""

    ngrams: list[int]
    bytes: int
    valid: float | None
    test: float | None


@shortly_shown
class Pruning(NamedTuple):
    """The folder of a pruned run, and its model before and after."""

    folder: Path
    before: TableReport
    after: TableReport


def export_arpa(run: str | Path, file: str | Path) -> None:
    """Writes the model of an n-gram run as an ARPA file, compressed if its name ends in .gz.

    Raises UserError if it is no such run, if the file exists, or for an estimator whose tables an ARPA file cannot
    hold.
    """
    opened, file = open_run(run), Path(file).expanduser()
    params = _tables(opened)
    if file.exists():
        raise UserError(f"the file to write must not exist, got {file}")
    write_arpa(params, opened.vocabulary, file, opened.config.method.kind)


def import_arpa(file: str | Path, run: str | Path | None = None) -> ImportedModel:
    """Makes a run of an ARPA file, for all verbs that take a run.

    Args:
        file: The ARPA file, such as KenLM or SRILM write them (.gz: compressed).
        run: The folder of the new run. Default: the next free one below checkpoints/.

    Returns:
        The folder and the tables.

    Raises:
        UserError: For a file that is no readable ARPA file, and a folder with something in it.
    """
    if run is not None:
        check_new(run)
    params, vocabulary = read_arpa(file)
    data: Any = {"level": vocabulary.level, **vocabulary.splitting}
    config = NGramConfig(DataConfig(**data), order=params.order, method="arpa")
    folder = new_folder(run, f"{params.order}gram-arpa")
    source = {"source": str(Path(file).expanduser().resolve()), "sha256": None}
    with claimed(folder.path):
        folder.create(config, vocabulary, {"ngrams": params.sizes, "corpus": source})
        save_tables(folder.path / TABLES, params)
    return ImportedModel(folder.path, params)


def prune_run(run: str | Path, threshold: float, pruned: str | Path | None = None, data: str | None = None) -> Pruning:
    """Makes a new run without n-grams that barely change the perplexity (Stolcke 1998), and measures the cost.

    Args:
        run: The folder of the n-gram run.
        threshold: The largest relative change of perplexity that leaving an n-gram out may make.
        pruned: The folder of the new run. Default: the next free one below checkpoints/.
        data: The text to measure on, its validation and test split. Default: the run's own.

    Returns:
        The folder of the new run, and sizes and perplexities before and after.

    Raises:
        UserError: For no n-gram run, a folder with something in it, and a threshold below 0.
    """
    opened = open_run(run)
    config, params = opened.config, _tables(opened)
    if pruned is not None:
        check_new(pruned)
    smaller = prune_by_entropy(params, threshold)
    source = config.data if data is None else dataclasses.replace(config.data, data=data)
    measured = data is not None or opened.record["corpus"]["sha256"] is not None
    corpus = load_corpus(**dataclasses.asdict(source), vocabulary=opened.vocabulary) if measured else None
    folder = new_folder(pruned, f"{params.order}gram-pruned")
    record = {name: value for name, value in opened.record.items() if name not in WRITTEN_ANEW}
    with claimed(folder.path):
        folder.create(config, opened.vocabulary, {**record, "ngrams": smaller.sizes, "pruned_at": threshold})
        save_tables(folder.path / TABLES, smaller)
    return Pruning(folder.path, _report(config, params, corpus), _report(config, smaller, corpus))


def _tables(opened: OpenedRun) -> BackoffParams:
    return tables_of(opened.config, opened.path, opened.vocabulary)


def _report(config: NGramConfig, params: BackoffParams, corpus: Corpus | None) -> TableReport:
    size = sum(np.asarray(a).nbytes for arrays in params[:4] for a in arrays)
    if corpus is None:
        return TableReport(params.sizes, size, None, None)
    score = table_scorer(params, reading_of(config, corpus.vocabulary))
    valid, test = (
        perplexity(score(tokens, split)) for tokens, split in ((corpus.valid, "valid"), (corpus.test, "test"))
    )
    return TableReport(params.sizes, size, valid, test)
