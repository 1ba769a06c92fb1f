"""The request of `POST /v1/completions`, as OpenAI's API has it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lm_jax.errors import UserError
from lm_jax.queries.continue_text import Sampler
from lm_jax.queries.token_text import Text, to_ids
from lm_jax.serve.answers import model_of
from lm_jax.serve.fields import Fields
from lm_jax.serve.generation import LARGEST_SEED, any_seed
from lm_jax.serve.models import Served, with_reader


MOST_PROMPTS = 16
MOST_LOGPROBS = 5  # as there
MOST_STOPS = 4
# fields of that API which change nothing here, and those that must be as they are when nobody gives them
UNREAD = ("user", "store", "metadata", "service_tier")
NEUTRAL = {"suffix": ("",), "best_of": (1,), "logit_bias": ({},), "presence_penalty": (0,), "frequency_penalty": (0,)}


class CompletionRequest(NamedTuple):
    """What is asked for: n continuations of each prompt. logprobs: rivals of every token, None for no probabilities.
    usage: whether a stream ends with the counts of tokens."""

    served: Served
    prompts: list[Text]
    tokens: int
    sampler: Sampler
    seed: int
    n: int
    logprobs: int | None
    echo: bool
    stop: tuple[str, ...]
    streams: bool
    usage: bool


def read_completion(models: Mapping[str, Served], fields: Fields) -> CompletionRequest:
    """Reads and checks the fields; raises UserError, and Refusal for a model that is not served."""
    limits = fields.limits
    served = model_of(models, fields)
    prompts = _prompts(served, fields)
    tokens = fields.whole("max_tokens", 16, 0, limits.tokens)
    temperature, top_p = fields.number("temperature", 1.0), fields.number("top_p", 1.0)
    seed = fields.whole("seed", None, 0, LARGEST_SEED)
    n = fields.whole("n", 1, 1, limits.samples)
    logprobs, echo = fields.whole("logprobs", None, 0, MOST_LOGPROBS), fields.flag("echo")
    stop, streams, options = _stops(fields), fields.flag("stream"), fields.any("stream_options", {})
    for name, neutral in NEUTRAL.items():
        if (value := fields.any(name, neutral[0])) not in (*neutral, n if name == "best_of" else neutral[0]):
            raise UserError(f"{name} is not known here, got {str(value)[:40]!r}", [name])
    for name in UNREAD:
        fields.any(name)
    fields.close()
    if tokens == 0 and not echo:
        raise UserError("max_tokens may be 0 with echo only, got 0 without", ["max_tokens", "echo"])
    # 0 is the likeliest token there
    sampler = Sampler(True) if temperature == 0 else Sampler(False, temperature, None, None if top_p == 1 else top_p)
    usage = isinstance(options, dict) and options.get("include_usage") is True
    seed = any_seed() if seed is None else seed
    return CompletionRequest(served, prompts, tokens, sampler, seed, n, logprobs, echo, stop, streams, usage)


def _prompts(served: Served, fields: Fields) -> list[Text]:
    """A text, several, ids, or several lists of ids."""
    given = fields.any("prompt", "")
    several = isinstance(given, list) and given and isinstance(given[0], str | list)
    prompts: list[Any] = given if isinstance(given, list) and several else [given]
    if len(prompts) > MOST_PROMPTS:
        raise UserError(f"there may be {MOST_PROMPTS} prompts, got {len(prompts)}", ["prompt"])
    vocabulary, most = with_reader(served).run.vocabulary, fields.limits.text
    for prompt in prompts:
        if not isinstance(prompt, str | list) or any(type(i) is not int for i in prompt if not isinstance(prompt, str)):
            raise UserError(f"prompt must be texts or ids, got {str(prompt)[:60]!r}", ["prompt"])
        if len(prompt) > most:
            raise UserError(f"prompt may have {most:,} characters or ids, got {len(prompt):,}", ["prompt"])
        to_ids(vocabulary, prompt)  # refused now, and not in the midst of a stream
    return prompts


def _stops(fields: Fields) -> tuple[str, ...]:
    given = fields.any("stop", [])
    stops = [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise UserError(f"stop must be a text, or at most {MOST_STOPS}, got {str(given)[:60]!r}", ["stop"])
    return tuple(stops)
