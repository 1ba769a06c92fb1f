"""The ASGI application: which address answers which question, made by a pure factory.

GET  /  and  /page/NAME       the page, one HTML file with its style and its script
GET  /v1/models               the runs that are served
POST /v1/next  score  gradients  states  generate  completions
"""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lm_jax.errors import UserError
from lm_jax.serve import answers, completions, generation, gradients, inside
from lm_jax.serve.body import read_body
from lm_jax.serve.completion_fields import read_completion
from lm_jax.serve.event_stream import EventStream
from lm_jax.serve.fields import Fields
from lm_jax.serve.guard import Guard, refused
from lm_jax.serve.lane import Lane
from lm_jax.serve.limits import Limits, Refusal
from lm_jax.serve.models import Served, described
from lm_jax.strict_json import to_json


PAGE = Path(__file__).parent / "page"
FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "charts.js": "text/javascript",
    "inside.js": "text/javascript",
}
QUESTIONS = {
    "next": answers.next_tokens,
    "score": answers.score,
    "gradients": gradients.gradients,
    "states": inside.inside,
}


class Growing(NamedTuple):
    """A question whose answer grows. read: (models, fields) -> what is asked for. stream: (lane, deadline, asked) ->
    its records as they come. whole: the same -> empty records while it grows, and then the answer."""

    read: Callable[..., Any]
    stream: Callable[..., Any]
    whole: Callable[..., Any]


GROWING = {
    "generate": Growing(generation.read_generation, generation.events, generation.whole),
    "completions": Growing(read_completion, completions.chunks, completions.whole),
}
GONE = 499  # the client, before the answer; nobody reads it


def app(models: Mapping[str, Served], token: str, limits: Limits = Limits()) -> Starlette:
    """Makes the application.

    Args:
        models: The runs that are served, as `serve_models` loads them; the first is the one that a request without a
            name means.
        token: What requests must have, as `Authorization: Bearer TOKEN`.
        limits: The most of a request.
    """
    lane = Lane(limits)

    async def models_list(request: Request) -> Response:
        return _json({"object": "list", "data": [described(served) for served in models.values()]})

    routes = [Route("/", _index), Route("/page/{name}", _file), Route("/v1/models", models_list)]
    for name, read in QUESTIONS.items():
        routes.append(Route(f"/v1/{name}", _question(models, limits, lane, read), methods=["POST"]))
    for name, kind in GROWING.items():
        routes.append(Route(f"/v1/{name}", _growing(models, limits, lane, kind), methods=["POST"]))
    refusals: dict[Any, Any] = {UserError: _user_error, Refusal: _refusal, HTTPException: _http, Exception: _failure}
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)], exception_handlers=refusals)


def _question(models, limits: Limits, lane: Lane, read: Callable[..., answers.Answer]):
    async def answer(request: Request) -> Response:
        with lane.place() as deadline:
            fields = Fields(await read_body(request, limits), limits)
            return _json(await lane.ask(deadline, read(models, fields)))

    return answer


def _growing(models, limits: Limits, lane: Lane, kind: Growing):
    async def answer(request: Request) -> Response:
        with contextlib.ExitStack() as stack:
            deadline = stack.enter_context(lane.place())
            asked = kind.read(models, Fields(await read_body(request, limits), limits))
            if asked.streams:
                records = kind.stream(lane, deadline, asked)
                first = await anext(records)  # a refusal has a status as long as nothing was sent
                return EventStream(request, first, records, held=stack.pop_all())
            record: dict[str, Any] = {}
            async for record in kind.whole(lane, deadline, asked):
                if not record and await request.is_disconnected():
                    return Response(status_code=GONE)
            return _json(record)

    return answer


def _json(record: Any) -> Response:
    return Response(to_json(record), media_type="application/json")


async def _index(request: Request) -> Response:
    return Response((PAGE / "index.html").read_bytes(), media_type="text/html")


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FILES:
        raise Refusal(404, f"a file of the page is one of {', '.join(FILES)}, got {name[:60]!r}")
    return Response((PAGE / name).read_bytes(), media_type=FILES[name])


async def _user_error(request: Request, error: Exception) -> Response:
    setting = next(iter(getattr(error, "settings", ())), None)
    return refused(400, str(error), setting)


async def _refusal(request: Request, error: Exception) -> Response:
    return refused(getattr(error, "status", 400), str(error))


async def _http(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 400)
    words = {404: f"there is nothing at {request.url.path[:80]}", 405: f"{request.method} is not for this address"}
    return refused(status, words.get(status, "the request could not be read"))


async def _failure(request: Request, error: Exception) -> Response:
    return refused(500, f"the server failed, its console says how: {type(error).__name__}")
