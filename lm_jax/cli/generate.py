"""`lm-jax generate RUN --prompt "..."`: text that streams to the terminal, or JSON."""

import dataclasses
import sys

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import is_terminal, parse
from lm_jax.config.settings import setting
from lm_jax.errors import UserError, check_sizes
from lm_jax.report.plain_json import to_json


@dataclasses.dataclass(frozen=True)
class GenerateArguments:
    """Continue a prompt with the best step of a run."""

    run: str = positional("Folder of the run.", "RUN")
    prompt: str = setting("", "The text to continue.")
    tokens: int = setting(200, "How many tokens to add.")
    temperature: float = setting(1.0, "Logits are divided by it; above 0, lower is safer.")
    top_k: int | None = setting(None, "Choose among the k most likely tokens only.")
    top_p: float | None = setting(None, "Choose among the most likely tokens whose probabilities add up to p only.")
    greedy: bool = setting(False, "Always the most likely token.")
    beam_size: int | None = setting(
        None, "Search for the most probable continuation of the line with this many hypotheses, instead of sampling."
    )
    length_penalty: float = setting(0.0, "Of the search: log-probabilities are divided by length to this power.")
    seed: int = setting(0, "Seed of the choices.")
    num_samples: int = setting(1, "How many continuations.")
    cell: str | None = setting(None, "The cell of a run that was trained with one of your own.", metavar="FILE.py:NAME")
    json: bool = setting(False, "Print one JSON object.")


def main(argv: list[str]) -> None:
    """Parses, generates, prints."""
    arguments = parse(GenerateArguments, "generate", argv)
    check_sizes(tokens=arguments.tokens, num_samples=arguments.num_samples)

    if arguments.beam_size is not None and (arguments.greedy or arguments.num_samples > 1):
        raise UserError("beam_size searches; it does not go with greedy or num_samples")

    from lm_jax.cli.compilation import keep_compiled
    from lm_jax.inference.generation import stream
    from lm_jax.inference.sampling import Sampler
    from lm_jax.runs import load

    sampler = Sampler(arguments.greedy, arguments.temperature, arguments.top_k, arguments.top_p)
    keep_compiled()
    model, params, vocabulary = load(arguments.run)
    prompt = vocabulary.encode(arguments.prompt)
    if arguments.beam_size is not None:
        _search(arguments, model, params, vocabulary, prompt)
        return

    import jax

    chunks = stream(
        model,
        params,
        prompt,
        arguments.tokens,
        jax.random.key(arguments.seed),
        eol_id=vocabulary.eol_id,
        num_samples=arguments.num_samples,
        sampler=sampler,
    )
    if arguments.json:
        _print_json(arguments, vocabulary, list(chunks))
    else:
        _print_text(arguments, vocabulary, chunks)


def _search(arguments, model, params, vocabulary, prompt):
    from lm_jax.inference.beam_search import beam_search

    beams = beam_search(
        model,
        params,
        prompt,
        arguments.tokens,
        eol_id=vocabulary.eol_id,
        beam_size=arguments.beam_size,
        length_penalty=arguments.length_penalty,
    )
    rows = [
        {"text": vocabulary.decode(tokens[:length]), "log_prob": float(log_prob), "score": float(score)}
        for tokens, length, log_prob, score in zip(
            beams.tokens, beams.lengths, beams.log_probs, beams.scores(arguments.length_penalty), strict=True
        )
        if log_prob > float("-inf")
    ]
    if arguments.json:
        print(to_json({"prompt": arguments.prompt, "hypotheses": rows}))
        return
    print(f"{'score':>9} {'log-prob':>9}  text")
    for row in rows:
        print(f"{row['score']:>9.3f} {row['log_prob']:>9.3f}  {_with_gap(arguments, vocabulary)}{row['text'].rstrip()}")


def _with_gap(arguments, vocabulary):
    """The prompt, and the space that words are parted by."""
    gap = vocabulary.level == "word" and arguments.prompt and not arguments.prompt[-1].isspace()
    return arguments.prompt + (" " if gap else "")


def _print_json(arguments, vocabulary, chunks):
    columns = [[int(i) for chunk in chunks for i in chunk[:, k]] for k in range(arguments.num_samples)]
    settings = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(arguments) if f.name != "json"}
    samples = [{"text": vocabulary.decode(column), "tokens": column} for column in columns]
    print(to_json({**settings, "samples": samples}))


def _print_text(arguments, vocabulary, chunks):
    settings = "greedy" if arguments.greedy else f"temperature {arguments.temperature:g}, seed {arguments.seed}"
    for name in ("top_k", "top_p"):
        if not arguments.greedy and getattr(arguments, name) is not None:
            settings += f", {name} {getattr(arguments, name):g}"
    print(f"[{arguments.tokens} tokens, {settings}]", file=sys.stderr)
    prompt = _with_gap(arguments, vocabulary)
    if is_terminal() and prompt:
        prompt = f"\033[1m{prompt}\033[0m"
    if arguments.num_samples == 1:
        print(prompt, end="", flush=True)
        for piece in vocabulary.pieces(int(i) for chunk in chunks for i in chunk[:, 0]):
            print(piece, end="", flush=True)
        print()
        return
    # several at once arrive together, so each is printed when all are there
    chunks = list(chunks)
    for k in range(arguments.num_samples):
        print(f"--- sample {k + 1}")
        print(prompt + vocabulary.decode(int(i) for chunk in chunks for i in chunk[:, k]))
