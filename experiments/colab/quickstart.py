# %% [markdown]
# # lm_jax: train, lose the machine, go on, look inside
#
# Runs unchanged on a CPU, a GPU and a one-chip TPU; on two CPU cores in about two minutes. On Colab choose
# *Runtime > Change runtime type* first. Made from `quickstart.py` by `make_notebook.py`; edit that file.

# %%
REPOSITORY = ""  # where lm_jax is: the address of a git repository, or a folder; may stay empty where it is installed
STEPS = 300  # of training; `lm-jax train` has 2,045 by default

# %% [markdown]
# Installing. lm_jax's lower bounds are the versions of Colab's image, so its JAX stays; the version that is there is
# asked for all the same, so that pip would rather fail than replace it. Nothing happens where lm_jax is installed.

# %%
import importlib.metadata
import importlib.util
import pathlib
import subprocess
import sys


if importlib.util.find_spec("lm_jax") is None:
    if not REPOSITORY:
        raise RuntimeError("lm_jax is not installed: set REPOSITORY in the first cell to where it is")
    source = REPOSITORY if pathlib.Path(REPOSITORY).exists() else f"git+{REPOSITORY}"
    kept = [f"jax=={importlib.metadata.version('jax')}"] if importlib.util.find_spec("jax") else []
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source, *kept], check=True)
    importlib.invalidate_caches()


# %% [markdown]
# `lm-jax doctor`: versions, devices, memory, speed, and what to do where a GPU or TPU is not seen. Every command runs
# in a process of its own, for a TPU serves one process at a time; this one begins to use it when they are done.

# %%
LM_JAX = [sys.executable, "-m", "lm_jax.cli.main"]


def lm_jax_command(*words):
    """`lm-jax WORDS`, its output as it comes."""
    command = [*LM_JAX, *map(str, words)]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            print(line, end="")
    if process.returncode:
        raise RuntimeError(f"lm-jax {words[0]} ended with code {process.returncode}")


lm_jax_command("doctor")

# %% [markdown]
# On a GPU or a TPU, four minutes that ask whether it is right there and how fast it is, the most telling cases first;
# run again, the cell goes on with the others. It has run on one GPU so far, and on no TPU. The last lines, from REPORT
# on, are the ones to send to the project.

# %%
import json


def accelerator_script():
    """The command, which lies in a clone beside the package: in that of REPOSITORY, or the one it is installed from."""
    clone = pathlib.Path(importlib.util.find_spec("lm_jax").origin).parents[1]
    if REPOSITORY and not (clone / "experiments" / "accelerator.py").exists():
        clone = pathlib.Path(REPOSITORY) if pathlib.Path(REPOSITORY).exists() else pathlib.Path("lm_jax_clone")
        if not clone.exists():
            subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(clone)], check=True)
    return clone / "experiments" / "accelerator.py"


seen = subprocess.run([*LM_JAX, "doctor", "--no-speed", "--json"], capture_output=True, text=True, check=True).stdout
if json.loads(seen)["devices"].get("platform") in ("gpu", "tpu"):
    words = [sys.executable, str(accelerator_script()), "--minutes", "4", "--out", "accelerator"]
    report = subprocess.run(words, capture_output=True, text=True)
    print(report.stdout or report.stderr)
else:
    print("no GPU or TPU here; on one, this cell runs `python experiments/accelerator.py --minutes 4`")

# %% [markdown]
# A folder that outlives the machine: your Drive on Colab, a temporary folder elsewhere.

# %%
import tempfile


try:
    from google.colab import drive
except ImportError:
    MIRROR = pathlib.Path(tempfile.mkdtemp()) / "lm_jax"
else:
    drive.mount("/content/drive")
    MIRROR = pathlib.Path("/content/drive/MyDrive/lm_jax")
RUN = pathlib.Path("checkpoints/quickstart")
COPY = MIRROR / RUN.name

# %% [markdown]
# Training on the default text, the documentation that every Python carries, with a copy of the run kept in the mirror -
# and killed, as machines are, once a checkpoint has arrived there. (Where the mirror has the run already, from the last
# time, there is nothing to begin.)

# %%
import time


def mirrored_steps():
    """The steps that the mirror has whole checkpoints of."""
    return [int(path.name) for path in COPY.glob("states/*") if path.name.isdigit()]


if not COPY.exists():
    settings = ["--steps", str(STEPS), "--checkpoint-every", "50", "--log-every", "50"]
    with open("quickstart.log", "w") as log:
        command = [*LM_JAX, "train", *settings, "--run", str(RUN), "--mirror", str(MIRROR)]
        training = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while training.poll() is None and not mirrored_steps():
            time.sleep(0.1)
        training.kill()
        training.wait()
    print(pathlib.Path("quickstart.log").read_text())
print("in the mirror: steps", *sorted(mirrored_steps()))

# %% [markdown]
# The machine is gone, with all that was on it. On the next one `lm_jax.resume` copies the run back from the mirror and
# goes on, bit for bit as if it had never been stopped (on a CPU); `lm-jax train --resume COPY --mirror MIRROR` does the
# same. A line shows the progress; the run shows its table, its loss curve and a sample.

# %%
import shutil

import lm_jax


shutil.rmtree(RUN, ignore_errors=True)
run = lm_jax.resume(COPY, mirror=MIRROR)
run

# %% [markdown]
# A finished run answers questions; its score on the test text:

# %%
trained = lm_jax.load(run)
score = trained.evaluate(split="test")
print(f"{score.tokens:,} characters: {score.bits_per_character:.3f} bits each, perplexity {score.perplexity:.2f}")

# %% [markdown]
# What it writes.

# %%
print(trained.generate("The ", tokens=300, temperature=0.6, seed=1))

# %% [markdown]
# Your own text is as easily begun with; a keyword is a flag of the command line. Here it is one page of that
# documentation, and the training is short: a line shows how far it is.

# %%
import pydoc_data.topics


pathlib.Path("my.txt").write_text(pydoc_data.topics.topics["specialnames"], encoding="utf-8")
own = lm_jax.train("my.txt", cell="gru", hidden_size=64, lr=5e-3, epochs=4)
print(lm_jax.load(own).generate("The ", tokens=100, temperature=0.6, seed=1))

# %% [markdown]
# And how much of the gradient of a prediction's loss is left at each distance back through time, measured exactly.

# %%
found = trained.gradients(texts=8, length=100)
print("the gradient by h falls below 10 % after", found.profile["h"].horizons[0.1], "characters")
found

# %% [markdown]
# The same for one sentence, token by token.

# %%
trained.gradients("the exception is raised when")
