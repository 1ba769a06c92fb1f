"""Standard streams that a command can rely on: they are there, take every character, and never end a training."""

import contextlib
import io
import os
import sys
from typing import NoReturn

from lm_jax.errors import UserError
from lm_jax.report.visible_text import one_line


def prepare_streams() -> None:
    """Makes the process's streams take any text: a character that the encoding lacks is written as "?".

    A stream that the caller has closed is replaced by one that goes nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8", errors="replace"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if sys.stdin is None:
        sys.stdin = io.StringIO()


def check_arguments(argv: list[str]) -> None:
    """Raises UserError for an argument whose bytes are no text in the encoding of the system."""
    for argument in argv:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError:
            encoding = sys.getfilesystemencoding()
            raise UserError(f"arguments must be text in {encoding}, got {os.fsencode(argument)!r}") from None


def fail(error: OSError) -> NoReturn:
    """Says in one line what the machine refused, such as a full disk behind standard output, and exits with code 1."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _to_nowhere(sys.stdout)  # or the interpreter tries once more, and complains
    where = f": {error.filename}" if error.filename else ""
    words = f"the machine must do what the command needs, got {error.strerror or error}{where}"
    print(f"error: {one_line(words)}", file=sys.stderr)
    sys.exit(1)


class UntilClosed:
    """Standard output that is silent once it fails: the run is worth more.

    Its reader may go away (`| head`), its terminal may be closed, the disk of its file may be full, and it may lack a
    character, which is written as "?".
    """

    def write(self, text: str) -> int:
        """Writes, while somebody reads."""
        try:
            self._try(lambda: sys.stdout.write(text))
        except UnicodeEncodeError as error:
            shown = text.encode(error.encoding, "replace").decode(error.encoding)
            self._try(lambda: sys.stdout.write(shown))
        return len(text)

    def flush(self) -> None:
        """Flushes, while somebody reads."""
        self._try(lambda: sys.stdout.flush())

    def __getattr__(self, name: str):
        return getattr(sys.stdout, name)

    def _try(self, action):
        try:
            return action()
        except UnicodeEncodeError:
            raise
        except (OSError, ValueError):  # a ValueError is Python's word for a file that was closed
            _to_nowhere(sys.stdout)
            return None


def _to_nowhere(stream):
    """What is written from now on, and what waits to be written, is lost in silence."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
