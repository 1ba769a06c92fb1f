"""Requests that a server must survive: large, broken, too many, from another site."""

import asyncio
import threading

import pytest

from tests.serve.client import HOST, TOKEN, Client


def sentence(response, status):
    """The one sentence of a refusal."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == status and error["message"] and "\n" not in error["message"]
    assert "Traceback" not in response.text and response.headers["x-content-type-options"] == "nosniff"
    return error["message"]


@pytest.mark.parametrize(
    "raw,status,words",
    [
        (b"x" * 1_000_000, 413, "may have 262,144 bytes"),
        (b"{", 400, "must be JSON"),
        (b"\xff\xfe", 400, "must be JSON"),
        (b"[" * 50_000, 400, "must be JSON"),
        (b"[1]", 400, "must be a JSON object"),
        (b"", 400, "must be JSON"),
        (b'{"text": "a", "k": 1' + b"0" * 5000 + b"}", 400, "must be"),
        (b'{"text": "a", "k": NaN}', 400, "k must be a whole number"),
        (b'{"text": "\\ud800"}', 400, "every character must be in the vocabulary"),
    ],
)
def test_a_body_that_cannot_be_read(raw, status, words, client):
    assert words in sentence(client.ask("/v1/score", raw=raw), status)


@pytest.mark.parametrize(
    "path,body,status,words",
    [
        ("/v1/next", {}, 400, "text must be a text, got nothing"),
        ("/v1/next", {"text": 3}, 400, "text must be a text, got 3"),
        ("/v1/next", {"text": "a", "k": 51}, 400, "k must be a whole number from 1 to 50, got 51"),
        ("/v1/next", {"text": "a", "modle": "chars"}, 400, "did you mean model"),
        ("/v1/next", {"text": "a", "model": "other"}, 404, "one of chars, words, got 'other'"),
        ("/v1/next", {"text": "a", "model": ["chars"]}, 404, "one of chars, words"),
        ("/v1/score", {"text": "z"}, 400, "every character must be in the vocabulary, got 'z'"),
        ("/v1/score", {"text": "a" * 20_001}, 400, "may have 20,000 characters, got 20,001"),
        ("/v1/generate", {"temperature": 0}, 400, "temperature must be above 0"),
        ("/v1/generate", {"temperature": "hot"}, 400, "temperature must be a number, got 'hot'"),
        ("/v1/generate", {"tokens": 10**9}, 400, "tokens must be a whole number from 1 to 2,000"),
        ("/v1/generate", {"seed": -1}, 400, "seed must be a whole number from 0"),
        ("/v1/generate", {"beam_size": 2, "greedy": True}, 400, "beam_size searches"),
        ("/v1/gradients", {"text": "a"}, 400, "at least two"),
        ("/v1/gradients", {"text": "abab", "layer": 7}, 400, "layer"),
        ("/v1/completions", {"prompt": "z"}, 400, "every character"),
        ("/v1/completions", {"prompt": [1, 99999]}, 400, "ids from 0 to"),
        ("/v1/completions", {"prompt": [1, "a"]}, 400, "prompt must be texts or ids"),
        ("/v1/completions", {"prompt": ["a"] * 17}, 400, "there may be 16 prompts, got 17"),
        ("/v1/completions", {"prompt": "a", "suffix": "b"}, 400, "suffix is not known here"),
        ("/v1/completions", {"prompt": "a", "stop": [1]}, 400, "stop must be a text"),
        ("/v1/states", {"text": "ab", "units": [["h", 99]]}, 400, "units must be of"),
        ("/v1/states", {"text": "ab", "units": [["h", -1]]}, 400, "units must be pairs"),
        ("/v1/states", {"text": "ab", "units": "h"}, 400, "units must be a list"),
        ("/v1/states", {"text": "ab", "pattern": [1, 2]}, 400, "zeros and ones"),
        ("/v1/states", {"text": "ab", "pattern": [1]}, 400, "each of the 2 tokens"),
        ("/v1/nothing", {}, 404, "there is nothing at /v1/nothing"),
    ],
)
def test_a_request_that_cannot_be(path, body, status, words, client):
    assert words in sentence(client.ask(path, body), status)


def test_a_method_that_is_not_for_an_address(client):
    assert "GET is not for this address" in sentence(client.ask("/v1/next", method="GET"), 405)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8799", "127.0.0.1.evil.example", "", "[::2]:8799"])
def test_a_name_that_is_not_of_this_machine(host, client):
    assert "the host must be one of" in sentence(client.ask("/", host=host or " "), 403)


@pytest.mark.parametrize("host", ["localhost:8799", "127.0.0.1:8799", "[::1]:8799", "LOCALHOST"])
def test_names_of_this_machine(host, client):
    assert client.ask("/v1/models", host=host).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8799"])
def test_a_page_of_another_site(origin, client):
    assert "a page must be of this server" in sentence(client.ask("/v1/next", {"text": "a"}, origin=origin), 403)
    assert client.ask("/v1/next", {"text": "a"}, origin=HOST).status_code == 200


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", b"Bearer \xe9"])
def test_without_the_token_nothing_is_answered(given, client):
    assert "Authorization: Bearer TOKEN" in sentence(client.ask("/v1/models", authorization=given), 401)
    assert "Authorization" in sentence(client.ask(f"/v1/models?token={TOKEN}", authorization=given), 401)


def test_two_hundred_at_a_time(models):
    from lm_jax.serve.app import app
    from lm_jax.serve.limits import Limits

    client = Client(app(models, TOKEN, Limits(waiting=10)))
    responses = asyncio.run(client.ask_all([("/v1/score", {"text": "a cab"})] * 200))
    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 10
    assert "at most 10 requests" in sentence(next(r for r in responses if r.status_code == 429), 429)
    assert client.ask("/v1/score", {"text": "a cab"}).status_code == 200  # all places are free again


def test_an_answer_that_takes_too_long(models):
    from lm_jax.serve.app import app
    from lm_jax.serve.limits import Limits

    client = Client(app(models, TOKEN, Limits(seconds=0.0)))
    for path, body in (("/v1/generate", {"prompt": "a"}), ("/v1/completions", {"prompt": "a"})):
        assert "may take 0 s" in sentence(client.ask(path, body), 503)


def test_nothing_is_computed_for_a_client_who_has_gone(models, monkeypatch):
    """The one before had its first piece and went: no further piece is asked for, and its place is free."""
    from lm_jax.serve import generation
    from lm_jax.serve.app import app
    from lm_jax.serve.limits import Limits

    drawn, inside, gone = [], generation.stream_samples, threading.Event()
    monkeypatch.setattr(generation, "stream_samples", lambda *a: (drawn.append(piece) or piece for piece in inside(*a)))
    application = app(models, TOKEN, Limits(waiting=1))

    async def ask():
        body = [{"type": "http.request", "body": b'{"prompt": "a", "tokens": 2000}', "more_body": False}]

        async def receive():
            if body:
                return body.pop()
            while not gone.is_set():
                await asyncio.sleep(0)
            return {"type": "http.disconnect"}

        async def send(message):
            if message.get("body"):
                gone.set()

        headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {TOKEN}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/generate", "headers": headers, "query_string": b""}
        await application({**scope, "asgi": {"version": "3.0", "spec_version": "2.3"}}, receive, send)

    asyncio.run(ask())
    assert 1 <= len(drawn) <= 3  # of 63
    assert Client(application).ask("/v1/models").status_code == 200
    assert Client(application).ask("/v1/next", {"text": "a"}).status_code == 200
