"""`lm-jax translate rerank RUN FILE`: translations chosen by the noisy channel, and its weights tuned."""

import dataclasses
from typing import Any

from lm_jax.cli.flags import positional
from lm_jax.cli.lines import answered, read_batches
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import say
from lm_jax.config.settings import setting
from lm_jax.errors import UserError, check_sizes
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class RerankArguments:
    """Translate every line of a file, or of standard input, by the noisy channel: the best of a beam by P(x|y) P(y)."""

    run: str = positional("Folder of the translator's run: P(y|x).", "RUN")
    file: str | None = positional("Sentences, one a line; - or nothing for standard input.", "FILE", optional=True)
    reverse: str | None = setting(None, "Run of a translator in the other direction: P(x|y).", metavar="RUN")
    language_model: str | None = setting(
        None, "Run of a language model of the language that is written: P(y).", metavar="RUN"
    )
    weights: tuple[float, ...] = setting(
        (),
        "Four weights, of log P(y|x), log P(x|y) and log P(y), each divided by |y|^length_penalty, and of |y|, if not "
        "those of the noisy channel, 0 1 1 0.",
    )
    tune: bool = setting(False, "Whether to print the weights that are best on the validation pairs, and nothing else.")
    data: str | None = setting(None, "Parallel text to tune on, if not the run's own.", metavar="FILE")
    beam_size: int | None = setting(None, "Number of translations to choose from, if not the run's setting.")
    n_best: int = setting(1, "Translations of each line, best first, with score and three log-probabilities.")
    cell: str | None = setting(None, "Cell of your own that runs were trained with.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Whether the output is one JSON object a line.")


def main(argv: list[str]) -> None:
    """Parses the arguments and prints the translations of every line, or the tuned weights."""
    arguments = parse(RerankArguments, "translate rerank", argv)
    _check(arguments)
    batches = () if arguments.tune else read_batches(arguments.file)

    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries.translate import encode_source

    keep_compiled()
    run, reverse, language_model = _load(arguments)
    others = {"reverse": reverse, "language_model": language_model, "beam_size": arguments.beam_size}
    if arguments.tune:
        _print_tuning(run.tune_weights(data=arguments.data, **others), arguments)
        return
    if arguments.weights:
        others["weights"] = arguments.weights
    run.rerank([], n_best=arguments.n_best, **others)  # refuses what cannot be, before a line is read
    for batch in batches:
        for line, translations in answered(
            batch,
            lambda text: encode_source(run, text),
            lambda texts: run.rerank(texts, n_best=arguments.n_best, **others),
        ):
            _print(line.text, translations or [], arguments)


def _load(arguments: RerankArguments) -> tuple[Any, ...]:
    """Loads the three runs. The user's cell is for those that need one; if none does, loading refuses it."""
    from lm_jax.cells.user import has_user_cell
    from lm_jax.queries import TrainedLanguageModel, TrainedTranslator
    from lm_jax.queries.load import load_as
    from lm_jax.runs.open import open_run

    classes = (TrainedTranslator, TrainedTranslator, TrainedLanguageModel)
    runs = [str(run) for run in (arguments.run, arguments.reverse, arguments.language_model)]
    needs = [has_user_cell(open_run(run).config) for run in runs]
    cells = [arguments.cell if need or not any(needs) else None for need in needs]
    return tuple(map(load_as, classes, runs, cells))


def _check(arguments: RerankArguments) -> None:
    for name in ("reverse", "language_model"):
        if getattr(arguments, name) is None:
            raise UserError(f"reranking needs {name}, the folder of a run, got none", [name])
    check_sizes(n_best=arguments.n_best)
    idle = {"a FILE": arguments.file, "weights": arguments.weights}
    given = [name for name, value in idle.items() if value]
    if arguments.tune and given:
        raise UserError(f"tune takes neither a FILE nor weights, got {' and '.join(given)}", ["tune", "weights"])
    if arguments.data is not None and not arguments.tune:
        raise UserError(f"data is what tune reads, got {arguments.data} without tune", ["data", "tune"])


def _print_tuning(tuning, arguments):
    if arguments.json:
        print(to_json(tuning))
        return
    weights = " ".join(f"{weight:g}" for weight in tuning.weights)
    print(
        f"{tuning.pairs:,} pairs, at most {tuning.beam_size} translations of each: {tuning.measure} "
        f"{tuning.direct:.2f} by the direct model, {tuning.tuned:.2f} reranked\n"
        f"unknown: {tuning.unknown_reverse:.1%} of the tokens of translations to the reverse model, "
        f"{tuning.unknown_language_model:.1%} to the language model\n"
        f"--weights {weights}"
    )


def _print(source, translations, arguments):
    if arguments.json:
        print(to_json({"source": source, "translations": translations}), flush=True)
        return
    if not translations:  # an empty line stays one, so that lines stand beside those of the source
        print(flush=True)
    for one in translations:
        numbers = (one.score, one.direct, one.reverse, one.language_model)
        columns = () if arguments.n_best == 1 else (f"{number:.4f}" for number in numbers)
        say("\t".join((*columns, one.text)))
