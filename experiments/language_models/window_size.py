"""What does a larger window buy? The fixed-window model with 1, 2, 4, 8 and 16 tokens, on the default corpus.

    python experiments/language_models/window_size.py               about 5 minutes on 2 CPU cores
    python experiments/language_models/window_size.py --data FILE   another text, by character

The model is that of Bengio et al. 2003: 32-dimensional embeddings, one tanh layer of 128 units, four epochs, three
seeds.

Expected: perplexity falls steeply up to four tokens, a little more to eight, and from eight to sixteen only on the
training text: on the validation and test texts the difference is within that of the seeds. The parameters grow by
32 * 128 for every token more. No position shares its weights with another, and they come out different: the norm of a
position's block of weights is largest for the newest token and falls with the distance (at the start all blocks of a
model have about the same norm, sqrt(128 / window)).
"""

from pathlib import Path

from experiments.harness import Study
from experiments.harness.runs import trained
from experiments.language_models.window_size_findings import WINDOWS, findings
from lm_jax.config import DataConfig, OptimizerConfig, TrainConfig, WindowConfig
from lm_jax.data import load_corpus


STUDY = Study(__doc__, __file__, {"--data": {"help": "another text, by character"}})
SEEDS = (0, 1, 2)


def settings(window: int, seed: int, arguments) -> TrainConfig:
    """One layer over `window` tokens."""
    size = {"embedding_size": 4, "hidden_size": 8} if arguments.smoke else {"embedding_size": 32, "hidden_size": 128}
    length = {"steps": 6} if arguments.smoke else {"epochs": 4}
    model = WindowConfig(window=window, **size)
    optimizer = OptimizerConfig(learning_rate=5e-3)
    return TrainConfig(optimizer, data=DataConfig(arguments.data), model=model, bptt=64, seed=seed, **length)


def measure(window: int, seed: int, arguments) -> dict:
    """What one run has come to."""
    text = Path(arguments.data).stem if arguments.data else "default"
    results = trained(settings(window, seed, arguments), arguments.runs / text / f"{window}-{seed}").results
    scores = {row["split"]: row for row in results["rows"]}  # the model's own row is the last of its split
    return {
        "window": window,
        "seed": seed,
        "parameters": results["parameters"],
        **{name: {split: row[name] for split, row in scores.items()} for name in ("perplexity", "bits_per_character")},
        "position_norms": results["position_norms"],
    }


def run(arguments) -> dict:
    """Trains every window with every seed."""
    seeds = SEEDS[: 1 if arguments.smoke else None]
    results = [measure(window, seed, arguments) for window in WINDOWS for seed in seeds]
    return {"corpus_sha256": load_corpus(arguments.data).sha256, "results": results}


if __name__ == "__main__":
    STUDY.main(run, findings)
