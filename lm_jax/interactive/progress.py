"""Who hears a run that a script started: the console of a terminal, a line of a notebook, or nobody.

`listener` of every training function is a `Listener`, None for silence, or a word:

    "auto"    the console of `lm-jax` in a terminal, one line that is updated in a notebook, nothing elsewhere: a
              script that writes to a pipe or a file, and a test, see nothing
    "print"   the console's lines, wherever the output goes

or several of these in a list, such as ["auto", TensorBoardListener()].
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from lm_jax.errors import UserError
from lm_jax.training.listener import Listener
from lm_jax.training.listeners import Listeners


One = Listener | Literal["auto", "print"] | None
Hearing = One | Sequence[One]


def notebook_display() -> Callable[..., Any] | None:
    """Returns IPython's `display` where the caller runs in a notebook; None elsewhere. Imports no IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):  # a terminal's has none
        return None
    from IPython.display import display  # pyright: ignore[reportMissingImports]

    return display


@contextlib.contextmanager
def hearing(listener: Hearing, what: str) -> Iterator[Listener | None]:
    """Makes the listener of a run, and takes its bar away at the end, also after an error.

    Args:
        listener: as of the training functions.
        what: of the run: "steps", several "seeds", or an "estimate" in one go.

    Raises:
        UserError: for what is no listener.
    """
    given: list[Any] = [listener]
    if isinstance(listener, list | tuple) and not hasattr(listener, "on_report"):
        given = list(listener)
    heard = [_listener(one, what) for one in given]
    try:
        yield heard[0] if len(heard) == 1 else Listeners(*(one for one in heard if one is not None))
    finally:
        for one, made in zip(given, heard, strict=True):
            if isinstance(one, str) and made is not None:
                getattr(made, "close", lambda: None)()


def _listener(listener, what):
    if listener is None or (hasattr(listener, "on_report") and not isinstance(listener, type)):
        return listener
    if not isinstance(listener, str) or listener not in ("auto", "print"):
        raise UserError(
            f'listener must be a Listener, "auto", "print" or None, or a list of these, got {listener!r}', ["listener"]
        )
    display = notebook_display() if listener == "auto" else None
    if display is not None:
        from lm_jax.interactive.notebook import NotebookProgress

        return NotebookProgress(display)
    if listener == "print" or sys.stdout.isatty():
        return _console(what)
    return None


def _console(what):
    """The consoles of the command line; each loads rich."""
    from lm_jax.cli.console import TrainingConsole
    from lm_jax.cli.estimate_console import EstimateConsole
    from lm_jax.cli.seeds_console import SeedsConsole

    return {"steps": TrainingConsole, "seeds": SeedsConsole, "estimate": EstimateConsole}[what]()
