"""Who may ask: programs of this machine that know the token, and no page of another site.

A page of another site can send requests to 127.0.0.1, and with a name of its own that leads here (DNS rebinding) read
the answers. So the Host must be of this machine, the Origin, where there is one, must be the Host, and the interface
wants the token in a header that no other page can know.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from lm_jax.serve.limits import Refusal
from lm_jax.strict_json import to_json


HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address has the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Guard:
    """ASGI middleware: refuses strangers, and puts the headers on every answer.

    Args:
        app: What answers.
        token: What a request to `/v1/` must have, as `Authorization: Bearer TOKEN`.
    """

    def __init__(self, app: Any, token: str):
        self.app, self.token = app, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            self._check(scope["path"], Headers(scope=scope))
        except Refusal as refusal:
            await refused(refusal.status, str(refusal))(scope, receive, with_headers)
            return
        await self.app(scope, receive, with_headers)

    def _check(self, path: str, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name.lower() not in HOSTS:
            raise Refusal(403, f"the host must be one of {', '.join(HOSTS)}, got {host[:80]!r}")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            raise Refusal(403, f"a page must be of this server, http://{host}, got {origin[:80]!r}")
        if path.startswith("/v1/"):
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self.token.encode()):
                raise Refusal(401, "a request needs the header Authorization: Bearer TOKEN, the token of the address")


def refused(status: int, message: str, setting: str | None = None) -> Response:
    """Makes the answer to a request that is refused: one sentence, in the form of OpenAI's API.

    Args:
        status: Of HTTP.
        message: The sentence.
        setting: The field of the request that it is about.
    """
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": setting, "code": status}
    headers = {"Retry-After": "1"} if status == 429 else None
    return Response(to_json({"error": error}), status, headers, "application/json")
