"""The three runs of a noisy channel, as good as untrained: German to English, English to German, English alone."""

from pathlib import Path

from lm_jax.config import NGramConfig, TrainConfig, from_flat
from lm_jax.data.parallel_files import read_parallel
from tests.queries.untrained import untrained
from tests.tasks.parallel import translate_config


def channel_runs(folder: Path, **reverse) -> dict[str, str]:
    """The folders of "direct", "reverse" and "language_model"; reverse: settings of the reverse run."""
    there = folder / "there.tsv"
    runs = {"direct": untrained(translate_config(there, beam_size=3, source="de", target="en"), folder / "direct")}
    pairs = [pair for split in read_parallel(str(there), "de", "en").values() for pair in split]
    back = folder / "back.tsv"
    named = {"source": "en", "target": "de"} | reverse
    config = translate_config(back, **named)
    back.write_text("".join(f"{pair.target}\t{pair.source}\n" for pair in pairs))
    runs["reverse"] = untrained(config, folder / "reverse")
    runs["language_model"] = untrained(language_model_config(folder), folder / "lm")
    return {name: str(path) for name, path in runs.items()}


def language_model_config(folder: Path, words: str = "one two ￭! zero", rare: str = "once\n", **changes) -> TrainConfig:
    """A model of words that lacks "three"; a rare one makes it have <unk>."""
    (folder / "english.txt").write_text(f"{words}\n" * 40 + rare)
    small = {"hidden_size": 4, "embedding_size": 4, "cell": "rnn", "batch_size": 2, "bptt": 8, "steps": 2}
    small |= {"data": str(folder / "english.txt"), "level": "word", "min_count": 2, "mode": "sentence"}
    return from_flat(TrainConfig, small | changes)


def scores_config(folder: Path) -> NGramConfig:
    """Stupid back-off, which gives no probabilities."""
    config = language_model_config(folder)
    words = {"data": config.data.data, "level": "word", "min_count": 2}
    return from_flat(NGramConfig, words | {"method": "stupid-backoff"})
