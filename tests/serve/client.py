"""The application of a toy model, asked without a network."""

import asyncio
import json
from typing import Any

import httpx


HOST = "http://127.0.0.1:8799"
TOKEN = "secret"
PATIENT = {"seconds": 3600.0}  # limits that a busy machine does not reach, where a program is compiled first


class Client:
    """Asks an ASGI application; `headers` beside those of a client that knows the token."""

    def __init__(self, app: Any):
        self.app = app

    def ask(self, path: str, body: Any = None, method: str = "", raw: bytes | None = None, **headers: str | bytes):
        """The response to one request."""
        return asyncio.run(self.ask_all([(path, body)], method, raw, **headers))[0]

    async def ask_all(self, requests: list, method: str = "", raw: bytes | None = None, **headers: str | bytes):
        """The responses to requests that are made at a time."""
        own = {"authorization": f"Bearer {TOKEN}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        own = {name: value for name, value in own.items() if value}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=own) as client:
            asked = []
            for path, body in requests:
                content = json.dumps(body).encode() if body is not None else raw
                verb = method or ("GET" if content is None else "POST")
                asked.append(client.request(verb, path, content=content))
            return await asyncio.gather(*asked)

    def events(self, path: str, body: Any) -> list[Any]:
        """The records of an answer that grows; the last event ends it."""
        lines = [line.removeprefix("data: ") for line in self.ask(path, body).text.split("\n\n") if line]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]
