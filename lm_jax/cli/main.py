"""`lm-jax`: finds the verb, and turns a user's mistakes into one line and exit code 2. Imports no JAX."""

import importlib
import itertools
import re
import sys

from lm_jax.cli.failures import home_failure, memory_failure, setting_failure, start_failure
from lm_jax.cli.output import check_arguments, fail, prepare_streams
from lm_jax.cli.verbs import ALSO_CALLED, VERBS
from lm_jax.errors import UserError, did_you_mean
from lm_jax.machine.memory import reuse_memory
from lm_jax.report.visible_text import one_line


HELP = ("-h", "--help", "--help-all")
DEBUG = "--debug"  # with any verb: the traceback of what the machine refused


def main(argv: list[str] | None = None) -> None:
    """The entry point of the command `lm-jax`."""
    if argv is None:
        argv = sys.argv[1:]
        prepare_streams()
        reuse_memory()  # of a process that is ours; not of one that calls this function
    debug, argv = DEBUG in argv, [word for word in argv if word != DEBUG]
    try:
        _run(argv)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {one_line(in_flags(error))}", file=sys.stderr)
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
    except Exception as error:
        if debug or not _print_failure(error, training="train" in argv[:2]):
            raise


def _print_failure(error, training):
    """Tells of a failure below the program in one line, and exits; False where it is none."""
    for words, code in (
        (home_failure(error), 2),
        (setting_failure(error), 2),
        (memory_failure(error, training), 1),
        (start_failure(), 2),
    ):
        if words is not None:
            print(f"error: {one_line(words)}", file=sys.stderr)
            sys.exit(code)
    return False


def _run(argv):
    if argv[:1] == ["help"]:
        argv = [*argv[1:], "--help"]
    if argv and argv[0] in ("--version", "-V", "-v", "version"):
        print(_version())
        return
    words = 2 if any(verb.startswith(f"{argv[0]} ") for verb in VERBS if argv) else 1
    if len(argv) < words or argv[words - 1] in HELP:
        print(_help([name for name in VERBS if name.split()[: words - 1] == argv[: words - 1]]))
        return
    check_arguments(argv)
    module, _, function = _verb(argv, words).function.partition(":")
    getattr(importlib.import_module(f"lm_jax.cli.{module}"), function)(argv[words:])


def in_flags(error: UserError) -> str:
    """Returns the message of an error with its settings as flags: `name=value` as `--name value`, a name of several
    words wherever it is, and the first mention of any other name without a value, since later ones may be words. What
    is quoted, and what is the value of a setting, stays as it is."""
    flags = {name: f"--{name.replace('_', '-')}" for name in error.settings}
    if not flags:
        return str(error)
    given = rf"(?<![\w/-])({'|'.join(map(re.escape, flags))})=(?=\S)((?:'[^']*'|[^\s'])+)"
    parts = re.split(rf"({given}|(?<!\w)'[^']*'(?!\w))", str(error))
    words, whole = parts[::4], parts[1::4]
    settings = zip(whole, parts[2::4], parts[3::4], strict=True)
    values = [f"{flags[name]} {value}" if name else quoted for quoted, name, value in settings]
    for name, flag in flags.items():
        for number, text in enumerate(words):
            once = "_" not in name
            words[number], found = re.subn(rf"(?<![\w/-]){re.escape(name)}(?![\w/-])", flag, text, count=int(once))
            if once and found:
                break
    return "".join(itertools.chain.from_iterable(itertools.zip_longest(words, values, fillvalue="")))


def _verb(argv, words):
    word = " ".join(argv[:words])
    if word in VERBS:
        return VERBS[word]
    meant = ALSO_CALLED.get(word)
    hint = f"; did you mean {meant}?" if meant else did_you_mean(word, VERBS) or did_you_mean(" ".join(argv[:2]), VERBS)
    group = [verb for verb in VERBS if verb.startswith(f"{argv[0]} ")]
    options = group or dict.fromkeys(verb.split()[0] for verb in VERBS)
    raise UserError(f"the verb must be one of {', '.join(options)}, got {word!r}{hint}")


def _version():
    from importlib.metadata import version

    python = ".".join(map(str, sys.version_info[:3]))
    return f"lm-jax {version('lm-jax')} (JAX {version('jax')}, Python {python})"


def _help(names):
    width = max(map(len, names))
    verbs = "\n".join(f"  lm-jax {name:<{width}}  {VERBS[name].summary}" for name in names)
    return (
        "Language models in JAX: train, score, generate, dissect.\n\n"
        f"{verbs}\n\n"
        "lm-jax VERB --help      the settings of a verb that people change, and examples\n"
        "lm-jax VERB --help-all  all its settings\n"
        "lm-jax VERB --debug     the traceback, where the machine refused something\n"
        "lm-jax --version        the versions\n\n"
        "To start: lm-jax train"
    )


if __name__ == "__main__":  # python -m lm_jax.cli.main, where the command is not on the path
    main()
