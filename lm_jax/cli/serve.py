"""`lm-jax serve RUN [RUN ...]`: a page to play with models, and an interface for other programs."""

import dataclasses
import threading

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse
from lm_jax.cli.run_folders import known_runs
from lm_jax.config.settings import setting
from lm_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class ServeArguments:
    """Open a page on this machine: type and see, generate, and how far back gradients reach. Ctrl-C ends it."""

    runs: tuple[str, ...] = positional(
        "Folders of the runs, side by side on the page.", "RUN", several=True, optional=True
    )
    port: int = setting(8799, "Port of 127.0.0.1; 0 for any that is free.")
    demo: bool = setting(
        False, "Whether a 5-gram, an RNN and an LSTM of the Python documentation are shown; they are trained first."
    )
    open: bool | None = setting(None, "Whether the page is opened in a browser.", unset="with --demo")
    cell: str | None = setting(None, "Cell of your own that runs were trained with.", metavar="FILE.py:NAME")


def main(argv: list[str]) -> None:
    """Parses the arguments, loads the runs and answers until it is interrupted."""
    arguments = parse(ServeArguments, "serve", argv)
    if bool(arguments.runs) == arguments.demo:
        got = "both" if arguments.demo else f"neither{known_runs()}"
        raise UserError(f"the models are runs, RUN ..., or those of demo, got {got}", ["demo"])
    from lm_jax.serve.run import bound, check_extra, new_token, serve

    check_extra()
    with bound(arguments.port) as taken:
        serve(_models(arguments), taken, new_token(), on_start=lambda address: _started(arguments, address))


def _models(arguments):
    from lm_jax.cli.demo_runs import demo_runs
    from lm_jax.cli.screen import say
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.serve.models import names_of, serve_models, warm_up

    keep_compiled()
    runs = demo_runs() if arguments.demo else arguments.runs
    models = serve_models(names_of(runs), arguments.cell)
    say("compiling ...")
    warm_up(models)
    for served in models.values():
        say(f"{served.name}: {served.title}, a {served.type}")
    return models


def _started(arguments, address):
    print(f"open {address}", flush=True)
    print("Ctrl-C ends it", flush=True)
    if arguments.demo if arguments.open is None else arguments.open:
        # it may last: a browser of a terminal ends when its user ends it
        threading.Thread(target=_opened, args=(address,), daemon=True).start()


def _opened(address):
    import webbrowser

    if not webbrowser.open(address):
        print("no browser was found here: open the address above in one", flush=True)
