"""A command in a process of its own, which is killed at a chosen moment of the life of a run."""

import multiprocessing
import os
import signal
import sys
import time

from tests.kills.watch import Death, Place, Watch


PRELOADED = ("lm_jax.cli.main", "lm_jax.runs.train", "orbax.checkpoint", "matplotlib.pyplot", "tests.kills.dying")


def run_command(place: Place, words: list[str], death: Death | None = None) -> tuple[int, str, dict[str, int]]:
    """Runs a command in a new process, which is killed at its death if it lives to see that.

    Args:
        place: Where it runs.
        words: Of the command line.
        death: When it dies; None for never.

    Returns:
        Its exit code, -9 if it was killed; what it printed; and, of one that ended, its operations by stages.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))  # imported once: that is most of the time of a short run
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(place, words, death, there))
    process.start()
    there.close()
    counts: dict[str, int] = {}
    try:
        counts = here.recv()
        if death is not None and not counts:  # its time has come
            time.sleep(death.after)
            process.kill()
    except EOFError:
        pass
    process.join()
    assert process.exitcode is not None
    return process.exitcode, (place.desk / "output.txt").read_text(errors="replace"), counts


def _run(place, words, death, connection):
    """The new process."""
    os.chdir(place.desk)
    number = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(number, stream)
    sys.stdout, sys.stderr = (open(stream, "w", closefd=False) for stream in (1, 2))

    def die(death):
        if not death.after:
            os.kill(os.getpid(), signal.SIGKILL)
        connection.send({})

    watch = Watch(place, death, die)
    sys.addaudithook(watch)
    from lm_jax.cli.main import main

    main(words)
    sys.stdout.flush()
    connection.send(dict(watch.counts))
