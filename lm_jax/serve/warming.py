"""What the first click would wait for, compiled once the page is there: a program for each length of a text.

It goes on beside the questions, in a thread of its own, the short lengths of all models first. What it compiles is
kept on disk, so that the next start finds it there.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from lm_jax.errors import UserError
from lm_jax.queries import gradient_map, states, stream_samples
from lm_jax.queries.recurrent_run import opened_of
from lm_jax.serve.gradients import SENTENCE_SIZES, SIZES, about_sentence
from lm_jax.serve.models import Served


Step = tuple[int, Callable[[], object]]  # the tokens of a question, and the question


@contextlib.contextmanager
def warming(models: Mapping[str, Served]) -> Iterator[threading.Thread]:
    """Compiles in the background while the block runs; what is under way at its end is waited for.

    Args:
        models: The runs that are served.
    """
    stop = threading.Event()
    thread = threading.Thread(target=_go_through, args=(steps(models), stop), name="warming")
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def _go_through(steps, stop):
    for step in steps:
        if stop.is_set():
            return
        with contextlib.suppress(UserError):  # who asks is told of it
            step()


def steps(models: Mapping[str, Served]) -> list[Callable[[], object]]:
    """Returns the questions whose answers compile all that is asked for at a first click, in the order of their sizes.

    Args:
        models: The runs that are served.
    """
    found: list[Step] = []
    for served in models.values():
        found += _of_language_model(served) if served.reader else _of_sentences(served)
    return [step for _, step in sorted(found, key=lambda pair: pair[0])]


def _of_language_model(served):
    run, eol = served.run, served.run.vocabulary.eol_id
    found: list[Step] = [(0, lambda: list(stream_samples(run, tokens=1)))]
    if opened_of(run.model) is not None:
        found.append((0, lambda: states(run, [eol])))
        found += [(size, lambda size=size: gradient_map(run, np.full(size, eol, np.int32))) for size in SIZES]
    return found


def _of_sentences(served):
    gap = "" if served.level == "char" else " "
    return [(size, lambda size=size: about_sentence(served, gap.join(["a"] * size))) for size in SENTENCE_SIZES]
