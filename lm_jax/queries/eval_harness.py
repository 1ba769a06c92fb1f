"""Tasks of EleutherAI's lm-evaluation-harness for a run's language model (extra `eval`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lm_jax.data.vocabulary import Vocabulary
from lm_jax.errors import UserError, needing_extra
from lm_jax.inference.continuations import ContinuationScore, score_continuations
from lm_jax.inference.sampling import Sampler
from lm_jax.queries.continue_text import stream_text
from lm_jax.queries.loaded_run import LoadedRun, RunLike, UserCell, as_language_model
from lm_jax.queries.stopping import Stopping


LONGEST = 256  # tokens that are generated where a task sets no limit


def evaluate_tasks(
    run: RunLike,
    tasks: Sequence[str],
    *,
    limit: int | None = None,
    include: str | Path | None = None,
    cell: UserCell | None = None,
) -> dict[str, Any]:
    """Runs tasks of the harness, which finds and prepares their data.

    Args:
        run: The run of a language model.
        tasks: Names of tasks, such as "blimp" and "lambada_openai".
        limit: Examples of each task. Default: all.
        include: A folder of task files (YAML) of one's own.
        cell: The user's own cell that the run was trained with.

    Returns:
        The results of the harness: by task, the name and value of every metric, without standard errors.

    Raises:
        UserError: For an unknown task, and where the extra `eval` is missing.
    """
    harness: Any = _library()
    from lm_eval.tasks import TaskManager  # pyright: ignore[reportMissingImports]

    manager = TaskManager(include_path=None if include is None else str(include))
    unknown = [task for task in tasks if not manager.match_tasks([task])]
    if unknown:
        raise UserError(f"tasks must be those of the harness (lm-eval ls tasks), got {', '.join(unknown)}", ["tasks"])
    model = harness_model(as_language_model(run, cell))
    # its standard errors come from forked processes, in which the threads of JAX are missing and locks are held
    how = {"task_manager": manager, "limit": limit, "bootstrap_iters": 0}
    return harness.simple_evaluate(model=model, tasks=list(tasks), **how)["results"]


def harness_model(run: LoadedRun) -> Any:
    """Makes the object that the harness asks: an `lm_eval.api.model.LM`.

    Every text follows an end of line, as in `lm-jax score`. A document is read whole, with its carry: no windows.
    Continuations are read after their context; text is generated greedily unless a task asks for sampling.

    Args:
        run: The run of a language model, loaded.
    """
    _library()
    from lm_eval.api.model import LM  # pyright: ignore[reportMissingImports]

    class HarnessModel(LM):
        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            pairs = [request.args for request in requests]
            return [(one.log_prob, one.greedy) for one in score_pairs(run, pairs)]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            return [one.log_prob for one in score_pairs(run, [("", request.args[0]) for request in requests])]

        def generate_until(self, requests: list[Any]) -> list[str]:
            return [generate_until(run, *request.args) for request in requests]

    return HarnessModel()


def score_pairs(run: LoadedRun, pairs: Sequence[tuple[str, str]]) -> list[ContinuationScore]:
    """Scores continuations after their contexts: (context, continuation) each."""
    vocabulary = run.vocabulary
    encoded = [_encode_pair(vocabulary, context, continuation) for context, continuation in pairs]
    texts, contexts = [text for text, _ in encoded], [length for _, length in encoded]
    return score_continuations(run.model, run.params, texts, contexts, vocabulary.eol_id)


def _encode_pair(vocabulary: Vocabulary, context: str, continuation: str) -> tuple[np.ndarray, int]:
    """The ids of both, and how many are the context's: where a token spans both, it is the continuation's."""
    text, alone = _encode(vocabulary, context + continuation), _encode(vocabulary, context)
    shorter = min(len(text), len(alone))
    different = np.flatnonzero(text[:shorter] != alone[:shorter])
    return text, int(different[0]) if len(different) else shorter


def _encode(vocabulary, text):
    """The ids of a text; characters that the vocabulary lacks become spaces, which no task can know of."""
    if vocabulary.level == "char":
        known = vocabulary.ids
        text = "".join(character if character in known else " " for character in text)
    return vocabulary.encode(text)


def generate_until(run: LoadedRun, context: str, settings: dict[str, Any]) -> str:
    """Continues a context until one of the words of settings["until"], which is not part of the answer.

    Args:
        run: The run.
        context: The text before.
        settings: Of the task: until, max_gen_toks, do_sample, temperature, top_k, top_p.
    """
    until = settings.get("until") or []
    stopping = Stopping([stop for stop in ([until] if isinstance(until, str) else until) if stop])
    sampler = Sampler(greedy=True)
    if settings.get("do_sample"):
        sampler = Sampler(False, settings.get("temperature") or 1.0, settings.get("top_k"), settings.get("top_p"))
    text = ""
    for piece in stream_text(run, _known(run.vocabulary, context), settings.get("max_gen_toks") or LONGEST, sampler):
        text += stopping.take(piece)
        if stopping.stopped:
            return text
    return text + stopping.take("", last=True)


def _known(vocabulary, text):
    return vocabulary.decode(_encode(vocabulary, text).tolist()) if vocabulary.level == "char" else text


def _library():
    with needing_extra("eval", "the evaluation harness needs"):
        import lm_eval  # pyright: ignore[reportMissingImports]
    return lm_eval
