"""`POST /v1/completions` as in OpenAI's API: prompts in, choices out, whole or as they come.

The same seed, temperature and top_p give the text of `lm-jax generate`. A prompt follows an end of line, so that its
first token has a probability too. `logprobs` are of the model, whatever the temperature is.
"""

import math
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from lm_jax.queries.stopping import Stopping
from lm_jax.queries.token_text import Text, to_ids, to_text
from lm_jax.serve.completion_fields import CompletionRequest
from lm_jax.serve.generation import Sampling, sample
from lm_jax.serve.lane import Lane
from lm_jax.serve.models import with_reader


class Piece(NamedTuple):
    """What is added to one choice. tokens: that were drawn for it, those after a stop too. end: why nothing follows,
    "stop" or "length"; None in between."""

    index: int
    text: str
    tokens: int
    logprobs: dict[str, Any] | None
    end: str | None


class _Choice:
    """One choice while it grows: what was given of it, and the ids that it is made of."""

    def __init__(self, request: CompletionRequest, index: int, prompt: Text):
        self.request, self.index = request, index
        vocabulary = request.served.run.vocabulary
        self.ids = to_ids(vocabulary, prompt).tolist()
        self.given_to = 0 if request.echo else len(self.ids)  # ids whose probabilities were given
        self.offset = self.length = 0  # of the text: where the next of them begins, and how much was given
        self.stopping = Stopping(request.stop)
        self.prompt = to_text(vocabulary, prompt)
        self.begun = self.ended = False

    def grow(self, text, ids, last):
        """Returns the next piece; asks the model where probabilities are wanted."""
        self.ids += ids
        given = self.stopping.take(text, last)
        if self.request.echo and not self.begun:
            given = self.prompt + given
        self.begun = True
        self.ended = last or self.stopping.stopped
        end = "stop" if self.stopping.stopped else "length" if last else None
        self.length += len(given)
        return Piece(self.index, given, len(ids), self._logprobs(), end)

    def _logprobs(self):
        if self.request.logprobs is None:
            return None
        reading = with_reader(self.request.served).read(self.ids)
        tokens = self.request.served.run.vocabulary.tokens
        start, self.given_to = self.given_to, len(self.ids)
        record: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for place in range(start, len(self.ids)):
            if self.stopping.stopped and self.offset >= self.length:
                break  # behind the stop
            ids, values = (part[place, : self.request.logprobs] for part in reading.rivals)
            record["tokens"].append(reading.texts[place])
            record["token_logprobs"].append(_finite(reading.log_probs[place]))
            record["top_logprobs"].append({tokens[i]: _finite(v) for i, v in zip(ids, values, strict=True)})
            record["text_offset"].append(self.offset)
            self.offset += len(reading.texts[place])
        return record


def _finite(value) -> float:
    """Clients read numbers only: of nothing at all they get what is smaller than any probability."""
    return float(value) if math.isfinite(value) else -1e4


async def pieces(lane: Lane, deadline: float, request: CompletionRequest) -> AsyncIterator[Piece]:
    """Yields the pieces of all choices, one prompt after the other.

    Args:
        lane: Where the model is asked.
        deadline: By which the last piece must be there.
        request: What is asked for.
    """
    for number, prompt in enumerate(request.prompts):
        choices = [_Choice(request, number * request.n + k, prompt) for k in range(request.n)]
        if request.tokens == 0:
            for choice in choices:
                yield await lane.ask(deadline, choice.grow, "", [], True)
            continue
        left = request.tokens
        asked = Sampling(request.served.run, prompt, left, request.sampler, request.seed, request.n)
        async for samples in sample(lane, deadline, asked):
            left -= len(samples[0].tokens)
            for choice, continuation in zip(choices, samples, strict=True):
                if not choice.ended:
                    text, ids = continuation
                    yield await lane.ask(deadline, choice.grow, text, ids, left <= 0)
            if all(choice.ended for choice in choices):
                break


async def whole(lane: Lane, deadline: float, request: CompletionRequest) -> AsyncIterator[dict[str, Any]]:
    """Yields empty records while the answer grows, so that a client who goes is noticed, and then the answer.

    Args:
        lane: Where the model is asked.
        deadline: By which the answer must be there.
        request: What is asked for.
    """
    choices: dict[int, dict[str, Any]] = {}
    drawn = 0
    async for piece in pieces(lane, deadline, request):
        drawn += piece.tokens
        choice = choices.setdefault(piece.index, {"text": "", "index": piece.index, "logprobs": None})
        choice["text"] += piece.text
        choice["finish_reason"] = piece.end
        if piece.logprobs is not None:
            before = choice["logprobs"] or {name: [] for name in piece.logprobs}
            choice["logprobs"] = {name: before[name] + values for name, values in piece.logprobs.items()}
        yield {}
    yield {**_head(request), "choices": [choices[i] for i in sorted(choices)], "usage": _usage(request, drawn)}


async def chunks(lane: Lane, deadline: float, request: CompletionRequest) -> AsyncIterator[dict[str, Any]]:
    """Yields the records of a stream.

    Args:
        lane: Where the model is asked.
        deadline: By which the last must be there.
        request: What is asked for.
    """
    head, drawn = _head(request), 0
    async for piece in pieces(lane, deadline, request):
        choice = {"text": piece.text, "index": piece.index, "logprobs": piece.logprobs, "finish_reason": piece.end}
        drawn += piece.tokens
        yield {**head, "choices": [choice]}
    if request.usage:
        yield {**head, "choices": [], "usage": _usage(request, drawn)}


def _head(request):
    name, seed = request.served.name, request.seed
    identity = f"cmpl-{uuid.uuid4().hex}"
    return {"id": identity, "object": "text_completion", "created": int(time.time()), "model": name, "seed": seed}


def _usage(request, drawn):
    vocabulary = request.served.run.vocabulary
    asked = sum(len(to_ids(vocabulary, prompt)) for prompt in request.prompts)
    return {"prompt_tokens": asked, "completion_tokens": drawn, "total_tokens": asked + drawn}
