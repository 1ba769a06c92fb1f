"""An answer that grows: server-sent events, one JSON record each, and `[DONE]` at the end."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from lm_jax.errors import UserError
from lm_jax.serve.limits import Refusal
from lm_jax.strict_json import to_json


Record = dict[str, Any]


class EventStream(StreamingResponse):
    """Sends records as they come, until the client goes; a failure on the way is the last record.

    Args:
        request: Whose client may go.
        first: The first record, which is there already.
        records: Those after it.
        held: What is closed at the end, however it comes.
    """

    def __init__(
        self,
        request: Request,
        first: Record,
        records: AsyncGenerator[Record],
        held: contextlib.ExitStack,
    ):
        self._held, self._lines = held, _lines(request, first, records)
        super().__init__(self._lines, media_type="text/event-stream")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Sends the answer."""
        with self._held:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._lines.aclose()


async def _lines(request, first, records):
    yield _event(to_json(first))
    try:
        async for record in records:
            if await request.is_disconnected():
                return
            yield _event(to_json(record))
    except (UserError, Refusal) as error:
        yield _event(to_json({"error": {"message": str(error), "code": getattr(error, "status", 400)}}))
    finally:
        await records.aclose()
    yield _event("[DONE]")


def _event(data):
    return f"data: {data}\n\n"
