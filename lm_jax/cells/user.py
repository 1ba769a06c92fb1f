"""Cells of a user's own: a function in a file, given as FILE.py:NAME, or the function itself."""

import dataclasses
import importlib.util
import itertools
from pathlib import Path
from typing import Any

from lm_jax.config import UserCell
from lm_jax.errors import UserError


_numbers = itertools.count()  # a file may be imported again after it was changed


def user_cell(name: str) -> UserCell:
    """Imports the file of FILE.py:NAME and takes NAME, a function (input_size, hidden_size) -> Cell, from it.

    Raises UserError where there is no such file or function, or where the file cannot be imported.
    """
    file, _, function = name.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"cell must be FILE.py:NAME with a file that exists, got {name}", ["cell"])
    spec = importlib.util.spec_from_file_location(f"user_cell_{next(_numbers)}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"cell must be FILE.py:NAME with a Python file, got {name}", ["cell"])
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # of any type: the file is the user's
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"cell must be in a file that can be imported, got {name}: {reason}", ["cell"]) from error
    factory = getattr(module, function, None)
    if not callable(factory):
        raise UserError(f"cell must name a function in its file, got {name}", ["cell"])
    return UserCell(name, factory)


def has_user_cell(config: Any) -> bool:
    """Says whether settings are of a run with a user's own cell, whose code a run folder does not hold."""
    return isinstance(getattr(getattr(config, "model", None), "cell", None), UserCell)


def with_user_cell(config: Any, cell: Any) -> Any:
    """Puts a user's own cell back into the settings of a run that was trained with one.

    Args:
        config: settings with a model that has a cell.
        cell: a function, a `UserCell`, or FILE.py:NAME.

    Raises:
        UserError: for a run of another cell.
    """
    if not has_user_cell(config):
        raise UserError("cell is given for runs of a user's own cell only, got another run", ["cell"])
    given = user_cell(cell) if isinstance(cell, str) else cell
    factory = given.factory if isinstance(given, UserCell) else given
    model = dataclasses.replace(config.model, cell=UserCell(config.model.cell.kind, factory))
    return dataclasses.replace(config, model=model)
