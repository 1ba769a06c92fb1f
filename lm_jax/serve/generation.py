"""`POST /v1/generate`: a text that streams, or the hypotheses of a search."""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lm_jax.errors import UserError
from lm_jax.queries import Continuation, LoadedRun, beam_search, stream_samples
from lm_jax.queries.continue_text import Sampler
from lm_jax.queries.token_text import Text
from lm_jax.serve.answers import model_of
from lm_jax.serve.fields import Fields
from lm_jax.serve.lane import Lane
from lm_jax.serve.models import Served, with_reader


LARGEST_SEED = 2**31 - 1


class Sampling(NamedTuple):
    """A continuation that is asked for."""

    run: LoadedRun
    prompt: Text
    tokens: int
    sampler: Sampler
    seed: int
    samples: int


class Generation(NamedTuple):
    """A request: what to sample, or the function that searches instead; whether the answer streams."""

    sampling: Sampling
    search: Callable[[], dict[str, Any]] | None
    streams: bool


def read_generation(models: Mapping[str, Served], fields: Fields) -> Generation:
    """Reads the fields of a request; their names and defaults are those of `lm-jax generate`."""
    served = model_of(models, fields)
    with_reader(served)
    limits = fields.limits
    prompt = fields.text("prompt", "")
    tokens = fields.whole("tokens", min(200, limits.tokens), 1, limits.tokens)
    greedy, temperature = fields.flag("greedy"), fields.number("temperature", 1.0)
    top_k, top_p = fields.whole("top_k", None, 1, 10**9), fields.number("top_p")
    seed = fields.whole("seed", 0, 0, LARGEST_SEED)
    samples = fields.whole("num_samples", 1, 1, limits.samples)
    beam_size, streams = fields.whole("beam_size", None, 1, limits.beam_size), fields.flag("stream", True)
    fields.close()
    if beam_size is not None and (greedy or samples > 1):
        raise UserError("beam_size searches; it does not go with greedy or num_samples", ["beam_size"])
    sampling = Sampling(served.run, prompt, tokens, Sampler(greedy, temperature, top_k, top_p), seed, samples)

    def search():
        return {"hypotheses": [row._asdict() for row in beam_search(served.run, prompt, tokens, beam_size or 1)]}

    return Generation(sampling, None if beam_size is None else search, streams)


async def sample(lane: Lane, deadline: float, request: Sampling) -> AsyncIterator[list[Continuation]]:
    """Yields pieces of at most 32 tokens, one of each sample at a time.

    Each is asked for when the one before was sent, so that nothing is computed for a client who has gone, and others
    are answered in between.

    Args:
        lane: Where the model is asked.
        deadline: By which the last piece must be there, in seconds of `time.monotonic`.
        request: What is asked for.
    """
    pieces: Iterator[list[Continuation]] = await lane.ask(deadline, stream_samples, *request)
    while True:
        piece = await lane.ask(deadline, next, pieces, None)
        if piece is None:
            return
        yield piece


async def events(lane: Lane, deadline: float, request: Generation) -> AsyncIterator[dict[str, Any]]:
    """Yields the records of the answer: pieces of text, hypotheses, and at the end how many tokens there were.

    Args:
        lane: Where the model is asked.
        deadline: By which the answer must be whole.
        request: What is asked for.
    """
    if request.search is not None:
        yield await lane.ask(deadline, request.search)
        return
    async for piece in sample(lane, deadline, request.sampling):
        for index, continuation in enumerate(piece):
            yield {"index": index, "text": continuation.text, "tokens": len(continuation.tokens)}
    yield {"finished": "length", "seed": request.sampling.seed}


async def whole(lane: Lane, deadline: float, request: Generation) -> AsyncIterator[dict[str, Any]]:
    """Yields empty records while the answer grows, so that a client who goes is noticed, and then the answer.

    Args:
        lane: Where the model is asked.
        deadline: By which the answer must be there.
        request: What is asked for.
    """
    texts = [""] * request.sampling.samples
    last: dict[str, Any] = {}
    async for last in events(lane, deadline, request):
        if "text" in last:
            texts[last["index"]] += last["text"]
            yield {}
    yield last if request.search is not None else {"samples": texts, **last}


def any_seed() -> int:
    """Draws a seed for who gives none."""
    return secrets.randbelow(LARGEST_SEED)
