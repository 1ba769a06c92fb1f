"""`lm-jax generate RUN --prompt "..."`: text that streams to the terminal, or JSON."""

import dataclasses
import sys

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.screen import say, screen_of, shown
from lm_jax.cli.table_output import TableArguments, print_answer
from lm_jax.cli.unknown_words import report_unknown
from lm_jax.config.settings import setting
from lm_jax.errors import UserError, check_sizes
from lm_jax.report.table import Table
from lm_jax.strict_json import to_json


@dataclasses.dataclass(frozen=True)
class GenerateArguments(TableArguments):
    """Continue a prompt with the best step of a run."""

    run: str = positional("Folder of the run.", "RUN")
    prompt: str = setting("", "Text to continue.")
    tokens: int = setting(200, "Number of tokens to add.")
    temperature: float = setting(1.0, "Sampling temperature, above 0: logits are divided by it.")
    top_k: int | None = setting(None, "Number of most likely tokens to sample from.")
    top_p: float | None = setting(None, "Probability mass of the most likely tokens to sample from (nucleus).")
    greedy: bool = setting(False, "Whether the most likely token is always chosen.")
    beam_size: int | None = setting(
        None, "Beam size of a search for the most probable rest of the line, instead of sampling."
    )
    length_penalty: float = setting(0.0, "Exponent of the length that log-probabilities are divided by.")
    seed: int = setting(0, "Seed of the sampling.")
    num_samples: int = setting(1, "Number of continuations.")
    cell: str | None = setting(None, "Cell of your own that the run was trained with.", metavar="FILE.py:NAME")


# of a request, as they are printed beside the samples
SETTINGS = ("run", "prompt", "tokens", "temperature", "top_k", "top_p", "greedy", "beam_size", "length_penalty")
SETTINGS += ("seed", "num_samples")


def main(argv: list[str]) -> None:
    """Parses the arguments, generates the text and prints it."""
    arguments = parse(GenerateArguments, "generate", argv)
    _check(arguments)
    from lm_jax.inference.sampling import Sampler
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.queries import TrainedLanguageModel
    from lm_jax.queries.load import load_as

    sampler = Sampler(arguments.greedy, arguments.temperature, arguments.top_k, arguments.top_p)
    keep_compiled()
    run = load_as(TrainedLanguageModel, arguments.run, arguments.cell)
    report_unknown(run.vocabulary, arguments.prompt)
    if arguments.beam_size is not None:
        _print_hypotheses(arguments, run)
    elif arguments.json:
        _print_json(arguments, run, sampler)
    else:
        _print_text(arguments, run, sampler)


def _check(arguments):
    """Raises UserError for settings that exclude each other."""
    arguments.check_form()
    check_sizes(tokens=arguments.tokens, num_samples=arguments.num_samples)
    if arguments.beam_size is not None and (arguments.greedy or arguments.num_samples > 1):
        raise UserError(
            "beam_size searches; it does not go with greedy or num_samples", ["beam_size", "greedy", "num_samples"]
        )
    tables = [name for name in ("wide", "csv", "markdown") if getattr(arguments, name)]
    if tables and arguments.beam_size is None:
        raise UserError(f"{tables[0]} is of the table of a search, got no beam_size", [tables[0], "beam_size"])


def _print_hypotheses(arguments, run):
    from lm_jax.queries import beam_search

    rows = beam_search(run, arguments.prompt, arguments.tokens, arguments.beam_size, arguments.length_penalty)
    if arguments.json:
        print(to_json({"prompt": arguments.prompt, "hypotheses": rows}))
        return
    prompt = arguments.prompt
    lines = tuple((f"{row.score:.3f}", f"{row.log_prob:.3f}", prompt + row.text.rstrip()) for row in rows)
    table = Table(("score", "log-prob", "text"), lines, words=0, drop=("score",), ends_in_words=True)
    print_answer(arguments, table, rows)


def _print_json(arguments, run, sampler):
    from lm_jax.queries import continue_text

    samples = continue_text(run, arguments.prompt, arguments.tokens, sampler, arguments.seed, arguments.num_samples)
    print(to_json({**{name: getattr(arguments, name) for name in SETTINGS}, "samples": samples}))


def _print_text(arguments, run, sampler):
    from lm_jax.queries import continue_text, stream_text

    pieces = stream_text(run, arguments.prompt, arguments.tokens, sampler, arguments.seed)
    print(f"[{arguments.tokens} tokens, {_choice(arguments)}]", file=sys.stderr)
    prompt = shown(arguments.prompt)
    if screen_of(sys.stdout).colour and prompt:
        prompt = f"\033[1m{prompt}\033[0m"
    if arguments.num_samples == 1:
        print(prompt, end="", flush=True)
        for piece in pieces:
            say(piece, end="")
        print()
        return
    # several at once arrive at once, so each is printed when all are there
    samples = continue_text(run, arguments.prompt, arguments.tokens, sampler, arguments.seed, arguments.num_samples)
    for number, sample in enumerate(samples, 1):
        print(f"--- sample {number}", prompt + shown(sample.text), sep="\n")


def _choice(arguments):
    """Describes in a few words how tokens are chosen."""
    if arguments.greedy:
        return "greedy"
    words = f"temperature {arguments.temperature:g}, seed {arguments.seed}"
    for name in ("top_k", "top_p"):
        if getattr(arguments, name) is not None:
            words += f", {name} {getattr(arguments, name):g}"
    return words
