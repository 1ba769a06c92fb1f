"""How long a key waits: `python -m tests.serve.keystrokes RUN [RUN ...]`, on the machine where it runs.

Types 40 characters behind texts of three lengths, asks every model at every key as the page does, and prints
milliseconds: of the processor, and of the clock.
"""

import asyncio
import pydoc_data.topics
import sys
import time

import httpx
import numpy as np

from lm_jax.machine.compile_cache import keep_compiled
from lm_jax.serve.app import app
from lm_jax.serve.models import names_of, serve_models, warm_up
from tests.serve.client import HOST, TOKEN


LENGTHS, KEYS = (60, 600, 5_000), 40


async def key_times(application, name, text, length):
    """The seconds of every key [keys, 2], of the processor and of the clock."""
    transport, spent = httpx.ASGITransport(application), []
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers, timeout=None) as client:
        for count in range(length, length + KEYS + 1):
            body = {"model": name, "text": text[:count], "first": 0 if count == length else count - 1}
            before = time.process_time(), time.perf_counter()
            (await client.post("/v1/score", json=body)).raise_for_status()
            spent.append((time.process_time() - before[0], time.perf_counter() - before[1]))
    return spent[1:]  # the first was pasted


def main(runs):
    """Prints a line for each length, the times of all models together."""
    keep_compiled()
    models = serve_models(names_of(runs))
    warm_up(models)
    application, text = app(models, TOKEN), "".join(pydoc_data.topics.topics.values())
    for served in models.values():
        if served.level == "char":
            text = "".join(sign for sign in text if sign in served.run.vocabulary.ids)
    print("characters  processor, median and most  clock, median and most")
    for length in LENGTHS:
        seconds = np.sum([asyncio.run(key_times(application, name, text, length)) for name in models], axis=0)
        processor, clock = (f"{np.median(kind):6.1f} {kind.max():6.1f} ms" for kind in 1e3 * seconds.T)
        print(f"{length:10,}  {processor:26}  {clock}")


if __name__ == "__main__":
    main(sys.argv[1:])
