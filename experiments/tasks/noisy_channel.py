"""Does the noisy channel translate better: a reverse translator and a language model that choose from an n-best list?

    python experiments/tasks/noisy_channel.py --data FOLDER                    15 minutes, given both translators
    python experiments/tasks/noisy_channel.py --data FOLDER --direction en-de  the same, English to German

argmax P(y | x) is that of P(x | y) P(y). The direct translator proposes a beam of y; a translator in the other
direction gives log P(x | y), a language model of the target side alone log P(y), and they are weighed as
lm_jax/inference/noisy_channel.py says, with weights tuned on the validation pairs. The translators are those of
translation.py (in --runs, by default where it keeps them) or trained by its recipe, 55 minutes each; the language
model, multi30k_lm.json, is trained here in 4 minutes. FOLDER has Multi30k as translation.py says. Given again with the
other direction, the command adds to the record of --out. Intervals are those of the difference to the direct search
with the beam of the recipe, sentences being resampled (Koehn 2004).

Expected: all three together gain about one BLEU on the test pairs over the direct translator with a beam of 5, most of
it from the reverse model, since the language model has read no other text than the decoder. The reverse model alone,
and the channel without the direct model, lose against it. The best of 20 candidates for each sentence (the oracle) is
10 BLEU better: the list is not what limits.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.harness import Study, integer
from experiments.harness.runs import trained
from experiments.tasks import translation
from experiments.tasks.noisy_channel_findings import SPLITS, findings
from lm_jax.config import TrainConfig, from_flat, read_settings
from lm_jax.data.dates import date_pairs
from lm_jax.data.parallel import read_pairs
from lm_jax.data.parallel_files import Pair
from lm_jax.inference.corpus_measures import CorpusMeasure, corpus_measure
from lm_jax.inference.noisy_channel import GRID, Candidate, Grid, Weights, choose, features, stack, tune
from lm_jax.inference.significance import bootstrap_difference
from lm_jax.inference.translation_scores import score_translations
from lm_jax.queries import TrainedTranslator, channel_candidates
from lm_jax.queries.load import load_as
from lm_jax.queries.noisy_channel import candidate_statistics


RECIPE = Path(__file__).with_name("multi30k_lm.json")
GRIDS = {
    "reverse alone": Grid((0.0,), (1.0,), (0.0,), (0.0,)),
    "channel + language model": Grid((0.0,), (1.0,), GRID.language_model[1:], GRID.length),
    "direct + language model": Grid((1.0,), (0.0,), GRID.language_model, GRID.length),
    "direct + reverse": Grid((1.0,), GRID.reverse, (0.0,), GRID.length),
    "all": GRID,
}
SMOKE = {"hidden_size": 8, "embedding_size": 8, "steps": 4, "log_every": 2, "batch_size": 8, "bptt": 16}
SMOKE |= {"level": "char", "min_count": 1}
SMOKE_PAIRS = {"train": 200, "val": 12, "test": 12}
STUDY = Study(
    __doc__,
    __file__,
    {
        "--data": {"help": "folder of Multi30k; default: dates made by the program, both ways"},
        "--direction": {
            "default": translation.DIRECTIONS[0],
            "choices": translation.DIRECTIONS,
            "help": "of the direct translator",
        },
        "--beam": integer(20, "candidates of each sentence"),
        "--seed": integer(0),
    },
    runs="translation",
)


class Split(NamedTuple):
    """Sources, references, and what the direct translator makes of them: best translations, and lists."""

    references: list[str]
    direct: dict[str, list[str]]
    lists: list[list[Candidate]]


def write_dates(folder: Path) -> str:
    """Writes made dates as a folder of two languages, ISO form being English, and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(zip(SMOKE_PAIRS, date_pairs().values(), strict=True))
    for split, count in SMOKE_PAIRS.items():
        for side, ending in enumerate(("de", "en")):
            lines = [pair[side] for pair in made[split][:count]]
            (folder / f"{split}.{ending}").write_text("".join(f"{line}\n" for line in lines))
    return str(folder)


def translator(direction: str, data: str, arguments: argparse.Namespace) -> TrainedTranslator:
    """The translator with attention of translation.py, found or trained."""
    given = argparse.Namespace(data=data, smoke=arguments.smoke)
    config = translation.settings("attention", given, arguments.seed, direction)
    name = translation.run_folder(translation.named("attention", direction), arguments.seed)
    return load_as(TrainedTranslator, trained(config, arguments.runs / name).folder)


def language_model(direct: TrainedTranslator, data: str, arguments: argparse.Namespace) -> Path:
    """The run of a language model of what the direct translator writes, in its tokens; found or trained."""
    settings, name = direct.config.data, f"lm-{direct.config.data.target}"
    text = arguments.runs / f"{name}-text"
    text.mkdir(parents=True, exist_ok=True)
    for split, pairs in read_pairs(data, settings.source, settings.target)[1].items():
        lines = [direct.vocabulary.target_text(pair.target) for pair in pairs]
        (text / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    config = from_flat(TrainConfig, SMOKE if arguments.smoke else {}, read_settings(RECIPE, TrainConfig))
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, data=str(text)), seed=arguments.seed)
    return trained(config, arguments.runs / f"{name}-{arguments.seed}").folder


def translated(direct: TrainedTranslator, pairs: list[Pair], beam: int, **others: Any) -> Split:
    """The direct translations of pairs, and the candidates with their scores."""
    sources = [pair.source for pair in pairs]
    found = {}
    for name, size in (("direct, greedy", 1), (f"direct, beam {direct.config.beam_size}", direct.config.beam_size)):
        found[name] = [one[0].text for one in direct.translate_all(sources, beam_size=size)]
    lists = channel_candidates(direct, sources, beam_size=beam, **others)
    found[f"direct, beam {beam}"] = [one[0].text for one in lists]
    return Split([pair.target for pair in pairs], found, lists)


def systems(direct: TrainedTranslator, splits: dict[str, Split], measure: CorpusMeasure) -> tuple[dict, dict]:
    """The translations of each system by split, and the weights of those that have any, tuned on "valid"."""
    penalty, texts, weights = direct.config.length_penalty, {name: dict(of.direct) for name, of in splits.items()}, {}
    values = {name: stack([features(one, penalty) for one in of.lists]) for name, of in splits.items()}
    statistics = {name: candidate_statistics(of.lists, of.references, measure) for name, of in splits.items()}
    for system, grid in GRIDS.items():
        weights[system] = tune(values["valid"], statistics["valid"], measure.score, grid).weights
        for name, of in splits.items():
            chosen = choose(values[name], weights[system])
            texts[name][system] = _picked(of.lists, chosen)
    for name, of in splits.items():
        each = [[measure.score(row) for row in rows] for rows in statistics[name]]
        texts[name]["oracle"] = _picked(of.lists, np.argmax(each, axis=1))
    return texts, weights


def _picked(lists, chosen):
    return [one[k].text for one, k in zip(lists, chosen, strict=True)]


def compared(texts: dict[str, list[str]], references: list[str], base: str, measure: CorpusMeasure, lower: bool):
    """Scores of each system, and the interval of its difference to the base."""
    sums = {
        name: np.stack([measure.statistics(*pair) for pair in zip(found, references, strict=True)])
        for name, found in texts.items()
    }
    scores = {name: score_translations(found, references, lower)._asdict() for name, found in texts.items()}
    for name in texts:
        scores[name]["value"] = measure.score(sums[name].sum(axis=0))
        scores[name]["difference"] = bootstrap_difference(sums[name], sums[base], measure.score)._asdict()
    return scores


def measure_direction(arguments: argparse.Namespace) -> dict[str, Any]:
    """All that one direction has come to."""
    data = write_dates(arguments.runs / "dates") if arguments.data is None else arguments.data
    direct = translator(arguments.direction, data, arguments)
    reverse = translator("-".join(reversed(arguments.direction.split("-"))), data, arguments)
    others = {"reverse": reverse, "language_model": language_model(direct, data, arguments)}
    pairs, beam = read_pairs(data, *arguments.direction.split("-"))[1], 2 if arguments.smoke else arguments.beam
    splits = {split: translated(direct, pairs[split], beam, **others) for split in SPLITS}
    lower = direct.vocabulary.lower
    measure = corpus_measure(lower)
    texts, weights = systems(direct, splits, measure)
    base = f"direct, beam {direct.config.beam_size}"
    every = [one for of in splits["test"].lists for one in of]
    tokens = sum(one.length for one in every)
    return {
        "direction": arguments.direction,
        "seed": arguments.seed,
        "beam": max(len(one) for one in splits["test"].lists),
        "base": base,
        "measure": measure.name,
        "weights": {name: Weights(*of)._asdict() for name, of in weights.items()},
        "unknown to the reverse model": sum(one.unknown_reverse for one in every) / tokens,
        "unknown to the language model": sum(one.unknown_language_model for one in every) / tokens,
        **{name: compared(texts[name], of.references, base, measure, lower) for name, of in splits.items()},
        "examples": _examples(splits["test"], texts["test"], base),
    }


def _examples(split, texts, base):
    """References with the translations by the direct search and by all, where these differ."""
    lines = zip(split.references, texts[base], texts["all"], strict=True)
    return [line for line in lines if line[1] != line[2]][:20]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the direction asked for if the record lacks it."""
    if not arguments.smoke and not arguments.data:
        raise SystemExit("give --data, the folder of Multi30k, or try --smoke")
    directions = {} if arguments.smoke else STUDY.recorded(arguments.out).get("directions", {})
    if directions.get(arguments.direction, {}).get("seed") != arguments.seed:
        directions[arguments.direction] = measure_direction(arguments)
    first = next(iter(directions.values()))
    return {"directions": directions, "signature": first["test"][first["base"]]["signature"]}


if __name__ == "__main__":
    STUDY.main(run, findings)
