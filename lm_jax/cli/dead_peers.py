"""When a process of a run dies, JAX ends the others from C++, with a stack trace. Here they end with one line."""

import os
import subprocess
import sys


ANOTHER_DIED = (
    "another process of this run died or could not be reached, so this one ends too; "
    "the run keeps its checkpoints: continue it with --resume"
)
# Copies what it reads until C++ complains; it ends when the process that writes to it does, however that ends.
_REPORTER = """
import re, signal, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
complaint, held, out = re.compile(rb"[WEF]\\d{4} .*(coordination|preemption_sync|client\\.h)"), [], sys.stderr.buffer
for line in sys.stdin.buffer:
    if line.startswith(b"error: "):
        held.clear()
        out.write(line)
        break
    if b"Terminating process because the JAX distributed service" in line:
        held.clear()
        out.write(b"error: " + sys.argv[1].encode() + b"\\n")
        break
    if held or complaint.match(line):
        held.append(line)
    else:
        out.write(line)
        out.flush()
out.writelines(held)
out.flush()
for line in sys.stdin.buffer:
    pass
"""


def report_deaths() -> None:
    """Sends standard error of this process through another one from here on, which shortens its end."""
    reader, writer = os.pipe()
    command = [sys.executable, "-c", _REPORTER, ANOTHER_DIED]
    subprocess.Popen(command, stdin=reader, stdout=subprocess.DEVNULL)
    sys.stderr.flush()
    os.dup2(writer, 2)
    os.close(reader)
    os.close(writer)
