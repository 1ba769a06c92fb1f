"""A run's language model as programs that run without this library: StableHLO, ONNX."""

from pathlib import Path
from typing import NamedTuple

from lm_jax.errors import UserError, one_of
from lm_jax.files import write_folder
from lm_jax.interop.onnx import onnx_files
from lm_jax.interop.stablehlo import stablehlo_files
from lm_jax.queries.loaded_run import RunLike, UserCell, as_language_model
from lm_jax.short_repr import shortly_shown
from lm_jax.strict_json import to_json


FORMATS = {"stablehlo": stablehlo_files, "onnx": onnx_files}


@shortly_shown
class Exported(NamedTuple):
    """The folder of an exported model, and the bytes of its files by name."""

    path: Path
    bytes: dict[str, int]


def export_run(run: RunLike, out: str | Path, format: str = "stablehlo", cell: UserCell | None = None) -> Exported:
    """Writes the best step of a run as programs, with tokens.json: its tokens by id, and the first id of every text.

    Args:
        run: The run of a network; n-gram models have ARPA files.
        out: The folder to make.
        format: "stablehlo" or "onnx".
        cell: The user's own cell that the run was trained with.

    Raises:
        UserError: For another type of model, a folder that is there, and a missing extra. Nothing is written then.
    """
    one_of("format", format, FORMATS)
    path = Path(out).expanduser()
    if path.exists() or not path.absolute().parent.is_dir():
        raise UserError(f"out must be a new folder in one that exists, got {out}", ["out"])
    loaded = as_language_model(run, cell)
    if loaded.task.estimation is not None:
        raise UserError(f"an exported model is a network, got n-grams of {loaded.run}: lm-jax ngram export writes ARPA")
    vocabulary = loaded.vocabulary
    tokens = {"tokens": vocabulary.tokens, "first": vocabulary.eol_id, "level": vocabulary.level}
    files = FORMATS[format](loaded.model, loaded.params)
    files["tokens.json"] = to_json(tokens).encode()
    try:
        write_folder(path, files)
    except OSError as error:
        raise UserError(f"out must be a folder that can be written, got {out}: {error.strerror}", ["out"]) from error
    return Exported(path, {name: len(content) for name, content in files.items()})
