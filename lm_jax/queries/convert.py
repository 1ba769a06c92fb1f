"""Runs from and to files of weights: torch's `word_language_model`, modules of Flax linen, ARPA."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm_jax.data.vocabulary_files import write_vocabulary_file
from lm_jax.errors import UserError, one_of
from lm_jax.interop.linen_language_model import language_model_to_linen
from lm_jax.interop.safetensors_files import save_safetensors
from lm_jax.interop.torch_language_model import language_model_to_torch
from lm_jax.models.build import from_config
from lm_jax.queries.loaded_run import UserCell, as_language_model
from lm_jax.queries.ngram_files import export_arpa, import_arpa
from lm_jax.runs.folder import RunFolder, check_new, new_folder
from lm_jax.runs.lock import claimed
from lm_jax.short_repr import shortly_shown
from lm_jax.tasks import Pretrained, task_of
from lm_jax.tasks.weight_files import read_weight_file
from lm_jax.training.checkpoints import Checkpoints
from lm_jax.training.state import TrainState, zero_totals


PROGRAMS = ("torch", "linen", "arpa")
TORCH_NONLINEARITIES = ("tanh", "relu")


@shortly_shown
class Converted(NamedTuple):
    """What a conversion wrote: a file or the folder of a run. words: about it, for a person."""

    path: Path
    words: str


def convert_run(
    run: str | Path, file: str | Path, to: str, vocabulary: str | Path | None = None, cell: UserCell | None = None
) -> Converted:
    """Writes the model of a run for another program.

    Args:
        run: The folder of the run.
        file: The file to write, which must not exist: safetensors, or ARPA (compressed if its name ends in .gz).
        to: "torch", "linen" or "arpa".
        vocabulary: A file for its tokens, one a line in the order of their ids; JSON if its name ends in .json.
        cell: The user's own cell that the run was trained with.

    Raises:
        UserError: For a model that the other program does not have. Nothing is written then.
    """
    one_of("to", to, dict.fromkeys(PROGRAMS))
    file = Path(file).expanduser()
    vocabulary = None if vocabulary is None else Path(vocabulary).expanduser()
    _check_free(file, vocabulary)
    if to == "arpa":
        if vocabulary is not None:
            raise UserError(f"an ARPA file holds its words: leave vocabulary out, got {vocabulary}", ["vocabulary"])
        export_arpa(run, file)
        return Converted(Path(file), f"{_mib(file)} MiB")
    loaded = as_language_model(run, cell)
    _check_convertible(loaded, to)
    params: Any = loaded.params
    tensors = language_model_to_torch(loaded.model, params) if to == "torch" else language_model_to_linen(params)
    if vocabulary is not None:
        write_vocabulary_file(loaded.vocabulary, vocabulary)
    save_safetensors(tensors, file)
    words = "" if vocabulary is None else f"; words in {vocabulary}"
    return Converted(Path(file), f"{len(tensors)} tensors, {_mib(file)} MiB{words}")


def convert_file(
    file: str | Path,
    run: str | Path,
    source: str,
    vocabulary: str | Path | None = None,
    nonlinearity: str = "tanh",
) -> Converted:
    """Makes a run of a file of another program, for all verbs that take a run.

    Args:
        file: The file to read.
        run: The folder of the new run.
        source: The program that the file is of: "torch", "linen" or "arpa".
        vocabulary: The file of its words; an ARPA file has its own.
        nonlinearity: Of a simple recurrent network, which no weights tell.

    Raises:
        UserError: For a file that cannot be read as that, and a folder with something in it.
    """
    one_of("from", source, dict.fromkeys(PROGRAMS))
    check_new(run)
    if source == "arpa":
        if vocabulary is not None:
            raise UserError(f"an ARPA file holds its words: leave vocabulary out, got {vocabulary}", ["vocabulary"])
        folder, params = import_arpa(file, run)
        return Converted(folder, f"n-grams of order 1 to {params.order}")
    return _write_run(read_weight_file(file, vocabulary, nonlinearity, source), run)


def _write_run(read: Pretrained, run):
    task = task_of(read.config)
    model = from_config(read.config.model, len(read.vocabulary))
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    if jax.tree.map(jnp.shape, read.params) != jax.tree.map(lambda s: s.shape, shapes):
        raise UserError(f"weights must be of a model that this library has, got others: {read.path}")
    folder = new_folder(run, task.folder_name(read.config))
    source = {"source": str(Path(read.path).expanduser().resolve()), "sha256": None}
    with claimed(folder.path):
        folder.create(read.config, read.vocabulary, {"corpus": source})
        _save(folder, read.params, read.vocabulary.sha256)
    size = sum(leaf.size for leaf in jax.tree.leaves(read.params))
    return Converted(folder.path, f"{task.name(read.config)}, {size:,} parameters, {len(read.vocabulary):,} words")


def _save(folder: RunFolder, params, vocabulary_sha256):
    """Saves parameters as a step 0 that no training has made."""
    zero = jnp.zeros((), int)
    state = TrainState(params, (), (), zero, jax.random.key(0), zero, jnp.ones(()), None, zero_totals())
    with Checkpoints(folder.states) as states:
        states.save(state, {"vocabulary": vocabulary_sha256}, None)


def _check_free(file, vocabulary):
    for path in (file, vocabulary):
        if path is not None and Path(path).exists():
            raise UserError(f"the file to write must not exist, got {path}")
        if path is not None and not Path(path).resolve().parent.is_dir():
            raise UserError(f"the file to write must lie in a folder that exists, got {path}")


def _check_convertible(loaded, to):
    """Raises UserError for what no weights tell and the other program does not do."""
    config = getattr(loaded.config, "model", None)
    cell = getattr(config, "cell", None)
    if cell is None:
        raise UserError(f"{to} gets recurrent language models, got a run of another kind: {loaded.path}")
    settings: Any = config
    if settings.layers > 1 and settings.connection != "plain":
        raise UserError(f"{to} stacks layers with connection plain, got {settings.connection}", ["connection"])
    nonlinearity = getattr(cell, "nonlinearity", "tanh")
    if to == "torch" and nonlinearity not in TORCH_NONLINEARITIES:
        raise UserError(f"torch has the nonlinearity {' or '.join(TORCH_NONLINEARITIES)}, got {nonlinearity}")


def _mib(file):
    return f"{Path(file).stat().st_size / 2**20:.1f}"
