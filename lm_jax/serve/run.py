"""The server itself: a port of this machine, and the address with the token that opens the page."""

import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

from lm_jax.errors import UserError, needing_extra
from lm_jax.serve.limits import Limits
from lm_jax.serve.models import Served


HOST = "127.0.0.1"
MOST_CONNECTIONS = 128


def check_extra() -> None:
    """Raises UserError where the extra is missing."""
    with needing_extra("serve", "the page needs"):
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401


def bound(port: int) -> socket.socket:
    """Returns a socket of 127.0.0.1 at a port, 0 for any; raises UserError for one that is taken."""
    if not 0 <= port < 65536:
        raise UserError(f"port must be from 0 to 65535, got {port}", ["port"])
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        raise UserError(f"port must be free on {HOST}, got {port}: {error.strerror}", ["port"]) from error
    return found


def new_token() -> str:
    """Draws a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def serve(
    models: Mapping[str, Served],
    taken: socket.socket,
    token: str,
    limits: Limits = Limits(),
    on_start: Callable[[str], Any] = print,
) -> None:
    """Answers until it is interrupted.

    Args:
        models: The runs, as `serve_models` loads them.
        taken: The socket, as `bound` gives it.
        token: What the address has.
        limits: The most of a request.
        on_start: Called with the address of the page once it can be opened.
    """
    import uvicorn

    from lm_jax.serve.app import app
    from lm_jax.serve.warming import warming

    config = uvicorn.Config(
        app(models, token, limits),
        log_level="warning",
        access_log=False,  # an address has the token
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
        lifespan="off",
    )
    taken.listen(MOST_CONNECTIONS)
    on_start(f"http://{HOST}:{taken.getsockname()[1]}/?token={token}")
    with warming(models):
        uvicorn.Server(config).run(sockets=[taken])
