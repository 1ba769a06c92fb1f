"""`lm-jax ngram train`: an n-gram model from the counts of a text."""

import dataclasses

from lm_jax.cli.flags import positional
from lm_jax.cli.parsing import parse_with_config
from lm_jax.cli.train import with_file
from lm_jax.config import NGramConfig, from_flat, setting


@dataclasses.dataclass(frozen=True)
class NGramArguments:
    """Estimate an n-gram model. Without any setting: 5-grams of characters, with modified Kneser-Ney smoothing."""

    file: str | None = positional("Text, as by --data.", "FILE", optional=True, shown=False)

    run: str | None = setting(None, "Folder of the run, if not checkpoints/NAME-N.", metavar="FOLDER", common=True)


def main(argv: list[str]) -> None:
    """Parses the arguments, estimates the model and prints the results."""
    arguments, given = parse_with_config(NGramArguments, NGramConfig, "ngram train", argv)
    config = from_flat(NGramConfig, with_file(given, arguments.file))
    config.check()

    from lm_jax.cli.estimate_console import EstimateConsole
    from lm_jax.machine.compile_cache import keep_compiled
    from lm_jax.runs import train

    keep_compiled()
    train(config, arguments.run, EstimateConsole())
