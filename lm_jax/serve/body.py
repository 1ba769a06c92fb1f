"""The body of a request as a JSON object, of limited size, and sent within the time of an answer."""

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request

from lm_jax.errors import UserError
from lm_jax.serve.limits import Limits, Refusal
from lm_jax.strict_json import from_json


async def read_body(request: Request, limits: Limits) -> dict[str, Any]:
    """Returns the object.

    Args:
        request: Of which nothing was read yet.
        limits: Of size and time.

    Raises:
        Refusal: For a body that is too large (413), or comes too slowly (408).
        UserError: For one that is no JSON object.
    """
    try:
        raw = await asyncio.wait_for(_bytes(request, limits.body), limits.sending)
    except TimeoutError as error:
        raise Refusal(408, f"a request must be sent within {limits.sending:g} s") from error
    except ClientDisconnect as error:
        raise Refusal(400, "the client went before the request was whole") from error
    try:
        body = from_json(raw)
    except ValueError as error:
        raise UserError(f"a request must be JSON, got {raw[:40]!r}: {str(error)[:80]}") from error
    if not isinstance(body, dict):
        raise UserError(f"a request must be a JSON object, got {str(body)[:40]!r}")
    return body


async def _bytes(request, limit):
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise Refusal(413, f"a request may have {limit:,} bytes, got {declared[:20]}")
    raw = b""
    async for piece in request.stream():
        raw += piece
        if len(raw) > limit:
            raise Refusal(413, f"a request may have {limit:,} bytes, got more")
    return raw
