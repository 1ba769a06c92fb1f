"""`lm-jax ngram train`: an n-gram model from the counts of a text."""

import dataclasses

from lm_jax.cli.parsing import parse_with_config
from lm_jax.config import NGramConfig, from_flat, setting


@dataclasses.dataclass(frozen=True)
class NGramArguments:
    """Estimate an n-gram model; without any setting, 5-grams of characters with modified Kneser-Ney smoothing."""

    run: str | None = setting(
        None, "Folder of the run; without it, the next free one below checkpoints/.", metavar="FOLDER"
    )


def main(argv: list[str]) -> None:
    """Parses the arguments, estimates the model and prints the results."""
    arguments, given = parse_with_config(NGramArguments, NGramConfig, "ngram train", argv)
    config = from_flat(NGramConfig, given)
    config.check()

    from lm_jax.cli.estimate_console import EstimateConsole
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.runs import train

    keep_compiled()
    train(config, arguments.run, EstimateConsole())
