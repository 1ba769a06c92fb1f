"""`lm-jax`: finds the verb, and turns a user's mistakes into one line and exit code 2. Imports no JAX."""

import difflib
import importlib
import re
import sys

from lm_jax.cli.output import check_arguments, fail, prepare_streams
from lm_jax.errors import UserError
from lm_jax.machine.memory import reuse_memory


VERBS = {
    "train": "train a language model, or go on with a run (--resume RUN)",
    "ngram train": "estimate an n-gram model from the counts of a text",
    "ngram prune": "leave out the n-grams that are hardly missed",
    "ngram import": "make a run of an ARPA file",
    "ngram export": "write the model of an n-gram run as an ARPA file",
    "classify train": "train a classifier of texts",
    "classify evaluate": "accuracy of a classifier on labelled texts",
    "classify predict": "label and probability of every line; with --explain, which words decide",
    "tag train": "train a tagger of words",
    "tag evaluate": "accuracy of a tagger on tagged sentences, on words that training lacks too, and F1 of spans",
    "tag predict": "a tag for every word of every line; with --n-best, the most probable strings of tags",
    "translate train": "train a translator on sentences with their translations",
    "translate evaluate": "cross-entropy, exact matches, BLEU and chrF of a translator",
    "translate predict": "the translation of every line; with --attention, where it was read",
    "evaluate": "cross-entropy, perplexity and bits per character of a text under a run",
    "generate": "continue a prompt with a run's model",
    "complete": "the most likely next tokens after a prompt",
    "score": "log-probability of every line, or every token, of a text",
    "minimal-pairs": "how often the good sentence of a pair is more probable than the bad one",
    "gradients": "how far back the gradient reaches; with --text, which past tokens the loss on each token reaches",
    "compare": "perplexities of several runs on the same text, with intervals and paired tests",
    "doctor": "versions, devices, memory, speed, and what to do where a GPU or TPU is not seen",
}
# where one module has several verbs, its name and the function; all others are `main` of a module of their own
MODULES = {
    f"{task} {verb}": f"{task}:{verb}"
    for task in ("classify", "tag", "translate")
    for verb in ("train", "evaluate", "predict")
}
DEBUG = "--debug"  # with any verb: the traceback of what the machine refused
NOT_STARTED = "Unable to initialize backend"  # JAX's words, of JAX_PLATFORMS and of a device that another process holds


def main(argv: list[str] | None = None) -> None:
    """The entry point of the command `lm-jax`."""
    if argv is None:
        argv = sys.argv[1:]
        prepare_streams()
        reuse_memory()  # of a process that is ours; not of one that calls this function
    debug, argv = DEBUG in argv, [word for word in argv if word != DEBUG]
    words = 2 if any(verb.startswith(f"{argv[0]} ") for verb in VERBS if argv) else 1
    if len(argv) < words or argv[words - 1] in ("-h", "--help"):
        print(_help())
        return
    try:
        check_arguments(argv)
        verb = _verb(" ".join(argv[:words]))
        module, _, function = MODULES.get(verb, verb.replace(" ", "_")).replace("-", "_").partition(":")
        getattr(importlib.import_module(f"lm_jax.cli.{module}"), function or "main")(argv[words:])
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {in_flags(error)}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        if not str(error).startswith(NOT_STARTED):
            raise
        print(f"error: JAX must start: {str(error).splitlines()[0]}; what to do: lm-jax doctor", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of a pipe went away: nothing is wrong
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


def in_flags(error: UserError) -> str:
    """Returns the message of an error, the first mention of each of its settings as a flag: later ones may be words."""
    message = str(error)
    for name in error.settings:
        message = re.sub(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])", f"--{name.replace('_', '-')}", message, count=1)
    return message


def _verb(word):
    if word in VERBS:
        return word
    near = difflib.get_close_matches(word, VERBS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(f"the first word must be one of {', '.join(VERBS)}, got {word!r}{hint}")


def _help():
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  lm-jax {verb:<{width}}  {summary}" for verb, summary in VERBS.items())
    return (
        "Language models in JAX: train, score, generate, dissect.\n\n"
        f"{verbs}\n\n"
        "`lm-jax VERB --help` lists the settings of a verb; --debug shows where the machine refused something. "
        "To start: lm-jax train"
    )


if __name__ == "__main__":  # python -m lm_jax.cli.main, where the command is not on the path
    main()
