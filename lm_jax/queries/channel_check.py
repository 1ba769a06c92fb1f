"""Checks that the three models of a noisy channel belong together."""

from lm_jax.config import ParallelDataConfig
from lm_jax.data.vocabulary import END_OF_LINE, UNKNOWN, Vocabulary
from lm_jax.errors import UserError
from lm_jax.queries.loaded_run import LoadedRun


NAMELESS = (ParallelDataConfig().source, ParallelDataConfig().target)  # say nothing about languages


def check_channel(direct: LoadedRun, reverse: LoadedRun, language_model: LoadedRun) -> None:
    """Checks that the three models of a noisy channel belong together.

    Args:
        direct: The translator whose translations are reranked.
        reverse: A translator in the other direction.
        language_model: A language model of the language that is written.

    Raises:
        UserError: For other languages, other tokens, and a language model whose scores are no probabilities.
    """
    names, other = ((run.config.data.source, run.config.data.target) for run in (direct, reverse))
    if NAMELESS not in (names, other) and other != names[::-1]:
        rule = f"the reverse run must translate {names[1]} into {names[0]}"
        raise UserError(f"{rule}, got {other[0]} into {other[1]} ({reverse.path})", ["reverse"])
    ours, theirs, words = direct.vocabulary, reverse.vocabulary, language_model.vocabulary
    if ours.level == theirs.level:
        for one, another in ((ours.target, theirs.source), (ours.source, theirs.target)):
            _check_shared(one, another, reverse, "reverse")
    if words.level != ours.level:
        got = f"{words.level} ({language_model.path}) beside {ours.level}"
        raise UserError(f"the language_model must have the level of the translator, got {got}", ["language_model"])
    _check_shared(ours.target, words, language_model, "language_model")
    if ours.target.unk_id is not None and words.unk_id is None:
        rule = f"a language_model of words needs {UNKNOWN} for others, as min_count 2 makes it"
        raise UserError(f"{rule}, got {language_model.path} without", ["language_model", "min_count"])
    method = language_model.task.scores(language_model.config)
    if method is not None:
        rule = "the language_model must give probabilities that sum to one"
        raise UserError(f"{rule}, got a run of {method}, which scores ({language_model.path})", ["language_model"])


def _check_shared(ours: Vocabulary, theirs: Vocabulary, run: LoadedRun, setting: str) -> None:
    if not (set(ours.tokens) & set(theirs.tokens)) - {UNKNOWN, END_OF_LINE, "\n"}:
        rule = f"the {setting} run must share tokens with the translator"
        raise UserError(f"{rule}, got vocabularies without any in common ({run.path})", [setting])
