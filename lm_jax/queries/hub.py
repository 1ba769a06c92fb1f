"""Models in folders as the Hugging Face Hub has them: config.json, vocabulary.json, model.safetensors, a card."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from lm_jax.cache_folder import cache_folder
from lm_jax.cells.user import has_user_cell, with_user_cell
from lm_jax.errors import UserError, needing_extra
from lm_jax.files import write_folder
from lm_jax.interop.safetensors_files import load_safetensors, to_safetensors
from lm_jax.queries.load import AnyTrained, of_task
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_loaded
from lm_jax.queries.model_card import PICTURE, model_card, plain
from lm_jax.runs.open import open_run
from lm_jax.sealed_json import take_seal
from lm_jax.strict_json import read_json, to_json
from lm_jax.training.diagnosis import named_arrays


WEIGHTS = "model.safetensors"
FILES = ("config.json", "vocabulary.json", WEIGHTS, "README.md", PICTURE)


def save_pretrained(
    run: RunLike,
    folder: str | Path,
    *,
    name: str | None = None,
    cell: UserCell | None = None,
    say: Callable[[str], None] = lambda stage: None,
) -> Path:
    """Writes the best step of a run as a folder for the Hub: settings, vocabulary, weights, a model card, a picture.

    Args:
        run: The run of a network; n-gram models have ARPA files.
        folder: The folder to make. Paths of this machine do not get into it.
        name: The name on the card, such as "user/model". Default: that of the folder.
        cell: The user's own cell that the run was trained with; it has to be given to `from_pretrained`, too.
        say: Called with what is being measured for the card.

    Returns:
        The folder.

    Raises:
        UserError: For a folder that is there, n-grams, and where the extra `hub` is missing. Nothing is written then.
    """
    path = Path(folder).expanduser()
    if path.exists() or not path.absolute().parent.is_dir():
        raise UserError(f"folder must be a new one in a folder that exists, got {folder}", ["folder"])
    loaded = as_loaded(run, cell)
    if loaded.task.estimation is not None:
        raise UserError(
            f"the Hub's folders hold networks, got n-grams of {loaded.run}: lm-jax ngram export writes ARPA"
        )
    record = read_json(loaded.path / "config.json")
    take_seal(record)  # the checksum is of the paths, too; it was looked at when the run was opened
    files = {"config.json": to_json(_without_paths(record)).encode()}
    for other in ("vocabulary.json", PICTURE):
        if (loaded.path / other).is_file():
            files[other] = (loaded.path / other).read_bytes()
    files[WEIGHTS] = to_safetensors(named_arrays(loaded.params))
    files["README.md"] = model_card(loaded, name or path.name, PICTURE in files, say).encode()
    try:
        write_folder(path, files)
    except OSError as error:
        raise UserError(
            f"folder must be one that can be written, got {folder}: {error.strerror}", ["folder"]
        ) from error
    return path


def from_pretrained(source: str | Path, *, revision: str | None = None, cell: UserCell | None = None) -> AnyTrained:
    """Loads a model that `save_pretrained` wrote; no code of it runs.

    Args:
        source: A folder, or the name of a model on the Hub, "user/model", which is copied to the cache.
        revision: The branch, tag or commit there.
        cell: The user's own cell that the model was trained with.

    Returns:
        The trained model, as `lm_jax.load` does.

    Raises:
        UserError: For what is not there, is no such folder, or does not fit its settings.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = _download(str(source), revision)
    elif revision is not None:
        raise UserError(f"revision is of a model on the Hub, got {revision} and the folder {source}", ["revision"])
    opened = open_run(folder)
    if cell is not None:
        opened = opened._replace(config=with_user_cell(opened.config, cell))
    elif has_user_cell(opened.config):
        raise UserError(f"the model has a cell of its author's: give it as cell, got none for {source}", ["cell"])
    task = opened.task
    model: Any = task.model(task.for_any_machine(opened.config), opened.vocabulary)
    params = _params(model, load_safetensors(folder / WEIGHTS), folder)
    return of_task(LoadedRun(str(folder), opened.config, opened.record, model, params, opened.vocabulary))


def push_to_hub(run: RunLike, repo: str, *, private: bool = False, cell: UserCell | None = None) -> str:
    """Uploads a run to the Hub, as `save_pretrained` writes it, with the login of huggingface_hub.

    Args:
        run: The run.
        repo: The name there, "user/model"; it is made if it does not exist.
        private: Whether nobody else sees a model that is made.
        cell: The user's own cell that the run was trained with.

    Returns:
        The address of the model.

    Raises:
        UserError: As of `save_pretrained`, and for what the Hub refuses.
    """
    api = _library().HfApi()
    with tempfile.TemporaryDirectory() as parent:
        folder = save_pretrained(run, Path(parent) / "model", name=repo, cell=cell)
        try:
            address = api.create_repo(repo, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo, folder_path=str(folder))
        except Exception as error:  # of many types: no login, no network, a name that is another's
            raise UserError(f"the Hub must take the model, got {_reason(error)} for {repo}") from error
    return str(address)


def _params(model, tensors, folder):
    """The tensors as the parameters of the model; raises UserError where names, shapes or types are others."""
    template = jax.eval_shape(model.init, jax.random.key(0))
    paths, tree = jax.tree_util.tree_flatten_with_path(template)
    wanted = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}
    for name in sorted(wanted.keys() ^ tensors.keys()):
        side = "lacks" if name in wanted else "has no place for"
        raise UserError(f"weights must be those of config.json: the model {side} {name} of {folder / WEIGHTS}")
    for name, leaf in wanted.items():
        found = tensors[name]
        if (found.shape, found.dtype) != (leaf.shape, leaf.dtype):
            got = f"{found.dtype}{list(found.shape)} instead of {leaf.dtype}{list(leaf.shape)}"
            raise UserError(f"weights must be those of config.json, got {name} as {got} in {folder / WEIGHTS}")
    return jax.tree.unflatten(tree, [jax.numpy.asarray(tensors[name]) for name in wanted])


def _without_paths(value: Any) -> Any:
    """JSON without the folders of the machine that it was made on."""
    if isinstance(value, dict):
        return {name: _without_paths(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_paths(part) for part in value]
    return plain(value) if isinstance(value, str) and value.startswith(("/", "~/", "./", "../")) else value


def _download(repo, revision):
    library, cache = _library(), cache_folder()
    name = f"{repo.replace('/', '--')}@{revision or 'main'}"
    to = Path(tempfile.mkdtemp(prefix="lm_jax-")) if cache is None else cache / "hub" / name
    try:
        library.snapshot_download(repo, revision=revision, local_dir=str(to), allow_patterns=list(FILES))
    except Exception as error:  # of many types: no such model, no network, no login
        if cache is None:
            shutil.rmtree(to, ignore_errors=True)
        raise UserError(f"source must be a folder or a model on the Hub, got {repo}: {_reason(error)}") from error
    return to


def _reason(error):
    return str(error).strip().splitlines()[0][:150] if str(error).strip() else type(error).__name__


def _library():
    with needing_extra("hub", "the Hub needs"):
        import huggingface_hub
    return huggingface_hub
